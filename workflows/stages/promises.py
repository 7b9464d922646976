"""What the system promises, by the names that stand in `status`, details and reports."""

PROCESSED = "processed within one business day"
SHIPPED = "shipped the day it is processed"
ACTIVATION_EMAIL = "activation email sent"
DELIVERED = "delivered within five business days"
ACTIVE = "active within an hour of enrolment"
RETURNED = "returned within thirty days"
REPORTED = "reported within one business day"

"""What the system promises, by the names that stand in `status`, details and reports."""

from domain.journey import PROCESSED as PROCESSED
from domain.journey import SHIPPED as SHIPPED

ACTIVATION_EMAIL = "activation email sent"
DELIVERED = "delivered in time"
ACTIVE = "active in time after enrolment"
RETURNED = "returned in time"
REPORTED = "reported in time"

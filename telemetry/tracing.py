"""Traces by OpenTelemetry, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector (OTLP over gRPC): from the gateway's request
through the workflow to each activity. Off by default. Spans travel in Temporal's headers, never in commands, so that a history
made with them replays without, and the other way round."""

from collections.abc import Sequence

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.contrib.opentelemetry import TracingInterceptor

from settings import Settings


class Discreet(SpanExporter):
    """Passes spans on without the texts of exceptions, which repeat what people have typed."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class Tracing:
    """One process's traces. `interceptors`: for the Temporal client, and for the worker that uses it."""

    def __init__(self, settings: Settings, service: str) -> None:
        self.interceptors: list[TracingInterceptor] = []
        self._provider: TracerProvider | None = None
        if settings.otlp_endpoint:
            resource = Resource.create({"service.name": service, "service.version": settings.build_id})
            self._provider = TracerProvider(resource=resource)
            exporter = Discreet(OTLPSpanExporter(endpoint=settings.otlp_endpoint))
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
            self.interceptors = [TracingInterceptor(self._provider.get_tracer("tokens"))]

    def close(self) -> None:
        """Hands over what has not been sent yet."""
        if self._provider:
            self._provider.shutdown()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application with a span for each request, or as it is where there are no traces."""
        return Traced(app, self._provider.get_tracer("tokens")) if self._provider else app


class Traced:
    """A span for each request, named by its route: what stands in a path may be a secret link."""

    def __init__(self, app: ASGIApp, tracer: trace.Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = propagate.extract({name: carrier[name] for name in ("traceparent", "tracestate") if name in carrier})
        with self._tracer.start_as_current_span(scope["method"], context=parent, kind=SpanKind.SERVER) as span:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self._app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", None) or "none"
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    said = [
        Event(event.name, {k: v for k, v in (event.attributes or {}).items() if k == "exception.type"}, event.timestamp)
        for event in span.events
    ]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=said,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )

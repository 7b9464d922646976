"""An OpenTelemetry collector: OTLP over gRPC, as a worker or gateway would meet it in production."""

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(TraceServiceServicer):
    """`with Collector() as collector: collector.url`; keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self._threads = ThreadPoolExecutor(2)
        self._server = grpc.server(self._threads)
        add_TraceServiceServicer_to_server(self, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:  # noqa: N802
        self.requests.append(request)
        return ExportTraceServiceResponse()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()

    @property
    def spans(self) -> dict[bytes, Span]:
        """By their ids."""
        return {
            span.span_id: span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def way_to(self, span: Span) -> list[str]:
        """The names of a span's ancestors and its own, the first cause first."""
        spans, way = self.spans, [span.name]
        while span.parent_span_id:
            span = spans[span.parent_span_id]
            way.insert(0, span.name)
        return way

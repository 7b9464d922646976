"""What a journey's history holds, as a script that the bare workflow plays: the same commands in the same order, waiting for the
same messages, with payloads of the same size. Taken from a journey that really ran, so that it follows every change of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import PayloadCodec

Script = dict[str, Any]
"""`{"input", "steps": [{"after": {"signals", "updates", "activities"}, "do": [command]}]}`; sizes in bytes before encryption."""

_CHANGE = "TemporalChangeVersion"


async def script(events: Sequence[HistoryEvent], codec: PayloadCodec, locals_in: Sequence[int]) -> Script:
    """`locals_in`: how large the inputs of the local activities were, in order; histories do not hold them."""
    reader = _Reader(codec, list(locals_in))
    for event in events:
        await reader.read(event)
    return {"input": reader.input, "steps": [step for step in reader.steps if step["do"]]}


def counts(events: Sequence[HistoryEvent]) -> dict[str, int]:
    """How often each type of event stands in it."""
    found: dict[str, int] = {}
    for event in events:
        name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        found[name] = found.get(name, 0) + 1
    return found


class _Reader:
    def __init__(self, codec: PayloadCodec, locals_in: list[int]) -> None:
        self._codec, self._locals_in = codec, locals_in
        self.input = 0
        self.steps: list[dict[str, Any]] = []
        self._after = {"signals": 0, "updates": 0, "activities": []}
        self._seen = {"signals": 0, "updates": 0, "activities": []}
        self._activities: dict[int, dict[str, Any]] = {}
        self._timers: dict[int, int] = {}
        self._updates: dict[int, int] = {}

    async def read(self, event: HistoryEvent) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self.input = await self._size(event.workflow_execution_started_event_attributes.input.payloads)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                self._seen["signals"] += 1
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                done = event.activity_task_completed_event_attributes
                command = self._activities[done.scheduled_event_id]
                command["out"] = await self._size(done.result.payloads)
                self._seen["activities"].append(command["number"])
            case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                self._after = {**self._seen, "activities": list(self._seen["activities"])}
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                self.steps.append({"after": self._after, "do": []})
            case _:
                await self._command(event)

    async def _command(self, event: HistoryEvent) -> None:
        do = self.steps[-1]["do"] if self.steps else []
        summary = await self._size([event.user_metadata.summary]) if event.user_metadata.summary.data else 0
        match event.event_type:
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                marker = event.marker_recorded_event_attributes
                if marker.marker_name == "core_patch":
                    do.append({"what": "patch"})
                else:
                    size = self._locals_in.pop(0) if self._locals_in else 0
                    out = await self._size(marker.details["result"].payloads) if "result" in marker.details else 0
                    do.append({"what": "local", "in": size, "out": out, "summary": summary})
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                size = await self._size(event.activity_task_scheduled_event_attributes.input.payloads)
                number = len(self._activities)
                command = {"what": "activity", "number": number, "in": size, "out": 0, "summary": summary}
                self._activities[event.event_id] = command
                do.append(command)
            case EventType.EVENT_TYPE_TIMER_STARTED:
                seconds = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
                self._timers[event.event_id] = len(self._timers)
                do.append(
                    {
                        "what": "timer",
                        "number": self._timers[event.event_id],
                        "seconds": max(seconds, 3600),
                        "summary": summary,
                    }
                )
            case EventType.EVENT_TYPE_TIMER_CANCELED:
                started = event.timer_canceled_event_attributes.started_event_id
                do.append({"what": "cancel", "number": self._timers[started]})
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                if _CHANGE not in fields:  # what a patch marker brings along
                    do.append({"what": "upsert", "attributes": _plain(fields)})
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                self._updates[event.event_id] = self._seen["updates"]
                self._seen["updates"] += 1
                self.steps[-1]["after"] = {**self.steps[-1]["after"], "updates": self._seen["updates"]}
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                done = event.workflow_execution_update_completed_event_attributes
                size = await self._size(done.outcome.success.payloads)
                do.append({"what": "answer", "number": self._updates[done.accepted_event_id], "out": size})
            case _:
                pass

    async def _size(self, payloads: Sequence[Payload]) -> int:
        return sum(len(payload.data) for payload in await self._codec.decode(list(payloads)))


def _plain(fields: Mapping[str, Payload]) -> dict[str, list[str]]:
    """Name to type and value, as JSON has it; an empty value takes the attribute away."""
    return {
        name: [payload.metadata["type"].decode(), payload.data.decode() if payload.data != b"null" else ""]
        for name, payload in fields.items()
    }

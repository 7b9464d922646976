"""`/v1/docs`: the OpenAPI document for people. Ours, since the usual pages load scripts from elsewhere."""

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.api.openapi import SCHEME
from starter.gateway.pages import page


def router() -> APIRouter:
    routes = APIRouter(prefix="/v1", include_in_schema=False)

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        document = request.app.openapi()
        return page("api.html", about=document["info"], operations=_operations(document), schemas=_schemas(document))

    return routes


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": operation["operationId"],
            "method": method.upper(),
            "path": path,
            "tag": operation.get("tags", ["other"])[0],
            "summary": operation.get("summary", ""),
            "description": operation.get("description", ""),
            "scopes": [scope for entry in operation.get("security", []) for scope in entry[SCHEME]],
            "parameters": [
                {
                    "name": parameter["name"],
                    "in": parameter["in"],
                    "required": parameter.get("required", False),
                    "type": _type(parameter.get("schema", {})),
                    "description": parameter.get("description", ""),
                }
                for parameter in operation.get("parameters", [])
            ],
            "body": _name(
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            ),
            "responses": [
                {"status": status, "description": response["description"], "schema": _schema_of(response)}
                for status, response in sorted(operation["responses"].items())
            ],
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _schemas(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": schema.get("description", ""),
            "values": schema.get("enum", []),
            "fields": [
                {
                    "name": field,
                    "type": _type(about),
                    "required": field in schema.get("required", []),
                    "description": about.get("description", ""),
                }
                for field, about in schema.get("properties", {}).items()
            ],
            "examples": [json.dumps(example, indent=2, ensure_ascii=False) for example in schema.get("examples", [])],
        }
        for name, schema in sorted(document["components"]["schemas"].items())
    ]


def _schema_of(response: dict[str, Any]) -> str:
    for content in response.get("content", {}).values():
        return _name(content.get("schema", {}))
    return ""


def _name(schema: dict[str, Any]) -> str:
    """What the schema is called, where it has a name of its own."""
    for alternative in (schema, *schema.get("anyOf", [])):
        if "$ref" in alternative:
            return alternative["$ref"].rsplit("/", 1)[-1]
    return ""


def _type(schema: dict[str, Any]) -> str:
    if name := _name(schema):
        return name
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = {"date-time": "time"}.get(schema.get("format", ""), schema.get("type", "anything"))
    return str(kind)

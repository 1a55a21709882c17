"""Checks answers against a dialect's OpenAPI contract: status, media type, and body."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import httpx2
import jsonschema_rs
import yaml


class Contract:
    """The contract of one dialect; answers are checked by its path template and method."""

    def __init__(self, package: str) -> None:
        text = resources.files(package).joinpath("openapi.yaml").read_text(encoding="utf-8")
        self.document: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
        self._validators: dict[int, Any] = {}

    def check(self, method: str, template: str, answer: httpx2.Response) -> httpx2.Response:
        """``answer``, after making sure that the contract has room for it."""
        operation = self.document["paths"][template][method.lower()]
        declared = operation["responses"]
        assert str(answer.status_code) in declared, f"{answer.status_code} is not declared: {answer.text}"
        content = self._resolved(declared[str(answer.status_code)]).get("content", {})
        if not content:
            assert not answer.content
            return answer
        media = answer.headers["content-type"].partition(";")[0]
        assert media in content, f"{media} is not declared for {answer.status_code}"
        if media.endswith("json"):
            self._validate(content[media]["schema"], answer.json())
        return answer

    def accepts(self, method: str, template: str, body: object) -> bool:
        """Whether the contract allows a JSON request body."""
        request = self._resolved(self.document["paths"][template][method.lower()]["requestBody"])
        schema = next(iter(request["content"].values()))["schema"]
        return bool(self._validator(schema).is_valid(body))

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def _validate(self, schema: dict[str, Any], body: object) -> None:
        self._validator(schema).validate(body)

    def _validator(self, schema: dict[str, Any]) -> Any:
        """Made once for each schema, which is a part of the document and is there as long as it."""
        if id(schema) not in self._validators:
            # References point into the document, so the document's components travel with the schema.
            whole = {"allOf": [schema], "components": self.document.get("components", {})}
            self._validators[id(schema)] = jsonschema_rs.validator_for(whole, validate_formats=True)
        return self._validators[id(schema)]


@cache
def contract(package: str) -> Contract:
    """The contract in this package, read once."""
    return Contract(package)

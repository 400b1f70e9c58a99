"""Run in SageMaker's image: answers requests through the toolkit's handler service, as its model server would.

The server itself is Java, and hands each request to the handler service with a context. That context is what stands
here in its place.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

ANSWERS = "answers: "


class Context:
    """One request, as the model server tells of it, and the status and type that the toolkit gives the answer."""

    def __init__(self, model_dir: str, headers: dict[str, str]) -> None:
        self.system_properties = {"model_dir": model_dir, "gpu_id": None}
        self.request_processor = [self]
        self.status, self.content_type, self.headers = 200, "", headers

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = int(code)

    def set_response_content_type(self, request: int, value: str) -> None:
        self.content_type = value


def main(service_name: str, model_dir: str) -> None:
    """Answer lines of requests, a JSON list each, with lines of answers."""
    if service_name == "pytorch":
        from sagemaker_pytorch_serving_container.handler_service import HandlerService as Service
    else:
        from sagemaker_inference.default_handler_service import DefaultHandlerService as Service
    service = Service()
    service.initialize(Context(model_dir, {}))
    for line in sys.stdin:
        answers: list[dict[str, Any]] = []
        for request in json.loads(line):
            context = Context(model_dir, request["headers"])
            (body,) = service.handle([{"body": base64.b64decode(request["body"])}], context)
            answers.append({"status": context.status, "type": context.content_type, "body": body})
        sys.stdout.write(f"{ANSWERS}{json.dumps(answers)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""boto3 as a child process: a JSON request per line in, a JSON answer per line out.

Request: {"service", "operation", "params", "validate"}; {"$b64": "..."} in the parameters stands for bytes.
Answer: {"ok": ...} with bytes as base64 text and times as epoch seconds, {"error": {"code", "message", "status"}} for
a refusal by the service, {"fault": "..."} for anything else.
"""

import base64
import datetime
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL, REGION, ACCESS_KEY = sys.argv[1:4]
clients = {}


def client(service, validate):
    key = (service, validate)
    if key not in clients:
        config = Config(
            retries={"total_max_attempts": 1},
            parameter_validation=validate,
            connect_timeout=5,
            read_timeout=60,
            proxies={},
        )
        clients[key] = boto3.client(
            service,
            endpoint_url=URL,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key="any",
            config=config,
        )
    return clients[key]


def unwrap(value):
    if isinstance(value, dict):
        if set(value) == {"$b64"}:
            return base64.b64decode(value["$b64"])
        return {k: unwrap(v) for k, v in value.items()}
    if isinstance(value, list):
        return [unwrap(v) for v in value]
    return value


def wrap(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {k: wrap(v) for k, v in value.items()}
    if isinstance(value, list):
        return [wrap(v) for v in value]
    return value


def answer(line):
    request = json.loads(line)
    try:
        # The one private call: it takes the operation's name as the model has it, so tests speak the API's own words.
        call = client(request["service"], request["validate"])._make_api_call
        result = call(request["operation"], unwrap(request["params"]))
        result.pop("ResponseMetadata")
        return {"ok": wrap(result)}
    except ClientError as e:
        error = e.response.get("Error", {})
        status = e.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return {"error": {"code": error.get("Code", ""), "message": error.get("Message", ""), "status": status}}
    except Exception as e:
        return {"fault": f"{type(e).__name__}: {e}"}


for line in sys.stdin:
    print(json.dumps(answer(line)), flush=True)

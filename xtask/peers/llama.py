"""The model of `cargo xtask bench task`, behind a llama.cpp server on this machine: `python llama.py`.

One JSON object a line on standard input, one answer a line on standard output:

    {"op": "version"}                                                -> {"version": ".."}
    {"op": "serve", "weights": FILE, "threads": N, "slots": K,
     "log": FILE}                                                    -> {"address": "127.0.0.1:.."}

The server speaks OpenAI's chat completions below /v1 and ends with standard input. It answers one request in each slot at a time;
what it has to say goes to the log. An answer with "error" says what went wrong.
"""

import json
import os
import socket
import sys
import time
import urllib.request
from importlib.metadata import version

import xllamacpp

# Tokens of prompt and answer together, in each slot.
CONTEXT = 4096
# Of computed prompts that no slot holds, for all together.
PROMPT_CACHE_MIB = 512
# A model that is not there after so many seconds does not come.
PATIENCE_S = 60

servers = []


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def serve(request):
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    params = xllamacpp.CommonParams()
    params.model.path, params.hostnames, params.port = request["weights"], ["127.0.0.1"], free_port()
    params.n_ctx, params.n_parallel = CONTEXT * request["slots"], request["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = request["threads"]
    params.cache_ram_mib, params.warmup = PROMPT_CACHE_MIB, False
    servers.append(xllamacpp.Server(params))
    address = f"127.0.0.1:{params.port}"
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE_S:
        try:
            urllib.request.urlopen(f"http://{address}/health", timeout=PATIENCE_S)
            return {"address": address}
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"the server was not ready within {PATIENCE_S} s; see {request['log']}")


def answer_to(request):
    match request["op"]:
        case "version":
            return {"version": version("xllamacpp")}
        case "serve":
            return serve(request)
        case other:
            raise ValueError(f"unknown operation {other}")


def main():
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        try:
            answer = answer_to(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)
    # The server's threads would outlive the interpreter.
    os._exit(0)


main()

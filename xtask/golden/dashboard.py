"""Asks optuna-dashboard (0.21.0) for every study of a journal and prints what it would show.

    venv/bin/python dashboard.py FILE

It calls the dashboard's own application in this process, without a server and without a browser: what its pages are
drawn from is checked, not the drawing."""

import io
import json
import sys
from urllib.parse import urlsplit

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import wsgi

application = wsgi(JournalStorage(JournalFileBackend(sys.argv[1])))


def get(url):
    parts, status = urlsplit(url), []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": parts.path, "QUERY_STRING": parts.query, "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http",
    }
    body = b"".join(application(environ, lambda line, headers, *_: status.append(line)))
    assert status[0].startswith("200"), (url, status, body[:500])
    return body


assert b"<html" in get("/dashboard").lower()
for study in json.loads(get("/api/studies"))["study_summaries"]:
    detail = json.loads(get(f"/api/studies/{study['study_id']}?after=0"))
    trials = detail["trials"]
    print(study["study_name"], study["directions"], len(trials), "trials")
    states = sorted({trial["state"] for trial in trials})
    print("  states", {state: sum(trial["state"] == state for trial in trials) for state in states})
    print("  parameters", [item["name"] for item in detail["union_search_space"]])
    print("  best", [trial["number"] for trial in detail.get("best_trials", [])][:3])
    complete = [trial for trial in trials if trial["state"] == "Complete"]
    assert all(trial["values"] and trial["params"] for trial in complete), "a complete trial has values"

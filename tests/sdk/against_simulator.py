"""A plugin of pytest: runs tests of Retell's SDK against a running simulator.

The SDK's tests of calls are marked as skipped, because its authors have no server for them, and they name chats that must be
there. Before each test there are: these chats are made anew.
"""

import json
import os
import urllib.request

import pytest

CHATS = [
    "16b980523634a6dc504898cda492e939",
    "chat_98c1a2157aa0559144d67bb0729",
    "oBeDLoLOeuAbiuaMFXRtDOLriTJ5tSxD",
    # A cursor of a list is the id of a chat.
    "pagination_key",
]


# Last, so that the marks are gone whoever added them.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    for item in items:
        for node in item.listchain():
            node.own_markers = [mark for mark in node.own_markers if mark.name != "skip"]


@pytest.fixture(autouse=True)
def chats():
    for chat in CHATS:
        body = json.dumps({"agentId": "x"}).encode()
        request = urllib.request.Request(
            f"{os.environ['SIMULATOR_CONTROL_URL']}/chats/{chat}",
            data=body,
            method="PUT",
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

"""What the server makes of the page's messages: a press counts once."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from streamlit.proto.BackMsg_pb2 import BackMsg

from workbench.page_messages import PageMessages

STATES = [
    {"id": "undo", "trigger_value": True},
    {"id": "order", "string_value": "arrival"},
    {"id": "menu", "string_trigger_value": {"data": "copy"}},
    {"id": "map", "json_trigger_value": '["clicked"]'},
    {"id": "chosen", "json_value": "[1]"},
    {"id": "chat", "chat_input_value": {"data": "hello"}},
]


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_bytes(await socket.receive_bytes())
    await socket.close()


def arrived(sent: bytes) -> bytes:
    app = Starlette(routes=[WebSocketRoute("/", echo)], middleware=[Middleware(PageMessages)])
    with TestClient(app).websocket_connect("/") as socket:
        socket.send_bytes(sent)
        return socket.receive_bytes()


def rerun(states: list[dict], **fields) -> BackMsg:
    return BackMsg(rerun_script={"query_string": "view=Queue", "widget_states": {"widgets": states}, **fields})


def test_a_timer_brings_what_is_chosen_and_no_press():
    sent = rerun(STATES, is_auto_rerun=True, fragment_id="strip")
    chosen = [state for state in STATES if state["id"] in ("order", "chosen")]
    assert BackMsg.FromString(arrived(sent.SerializeToString())) == rerun(
        chosen, is_auto_rerun=True, fragment_id="strip"
    )


@pytest.mark.parametrize(
    "sent",
    [
        rerun([]).SerializeToString(),
        rerun(STATES).SerializeToString(),
        rerun(STATES, fragment_id="queue").SerializeToString(),
        rerun([], is_auto_rerun=True, fragment_id="strip").SerializeToString(),
        rerun(STATES, is_history_navigation=True).SerializeToString(),
        BackMsg(stop_script=True).SerializeToString(),
        b"\xff\xff",
    ],
)
def test_every_other_message_arrives_as_it_was_sent(sent):
    assert arrived(sent) == sent

"""Messages of the pages to the server: a press is in one of them only."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

_PRESSES: Final = frozenset({"trigger_value", "string_trigger_value", "json_trigger_value", "chat_input_value"})
"""Kinds of widget state that say that something happened, not what is chosen."""


class PageMessages:
    """ASGI middleware over what comes through the websocket, see `without_repeated_press`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a connection, each press in one message only."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return

        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and message.get("bytes"):
                message["bytes"] = without_repeated_press(message["bytes"])
            return message

        await self._app(scope, received, send)


def without_repeated_press(data: bytes) -> bytes:
    """Return a message (a BackMsg) without presses if a timer sent it, else as it is.

    A press is sent a moment after it was made, and every message carries the state of all widgets. The timer of a
    part that redraws itself may run in between, above all on a busy machine; its message then brings the press as
    well, and one press of Undo would undo two steps. The press's own message always follows.
    """
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except Exception:  # no BackMsg: Streamlit answers it
        return data
    if message.WhichOneof("type") != "rerun_script" or not message.rerun_script.is_auto_rerun:
        return data
    states = message.rerun_script.widget_states.widgets
    chosen = [state for state in states if state.WhichOneof("value") not in _PRESSES]
    del states[:]
    states.extend(chosen)
    return message.SerializeToString()

"""A raw WebSocket client: sends one message, asks about each tool call, prints the answer, survives a lost connection.

    python3 examples/websocket_client.py "List all files in /workspace"

Needs the package `websockets` (Debian: python3-websockets). FAIRLEAD_URL and FAIRLEAD_TOKEN say where, and as whom.
Frames and events: docs/protocol.md.
"""

import asyncio
import json
import os
import sys
import uuid

import websockets

URL = os.environ.get("FAIRLEAD_URL", "ws://127.0.0.1:3000/v1/ws")
TOKEN = os.environ.get("FAIRLEAD_TOKEN")
# The token as a subprotocol, as browsers send it; an Authorization header does as well.
PROTOCOLS = ["fairlead.v1"] + ([f"bearer.{TOKEN}"] if TOKEN else [])
# A message with an id runs once, however often it is sent: so it can be sent again after every reconnect.
MESSAGE = {"type": "message", "id": str(uuid.uuid4()), "text": (sys.argv + ["List all files in /workspace"])[1]}

answers: dict[str, bool] = {}  # callId -> the user's answer, so that nobody is asked twice


async def decide(socket, call):
    if call["callId"] not in answers:
        question = f"{call['name']} {json.dumps(call['args'])}: allow? [y/n] "
        answer = await asyncio.to_thread(input, question)  # a thread, so that pings are answered meanwhile
        answers[call["callId"]] = answer.startswith("y")
    approval = {"type": "tool:approval", "callId": call["callId"], "approved": answers[call["callId"]]}
    await socket.send(json.dumps(approval))


async def main():
    session, after, delay = "", 0, 0.1
    while True:
        resume = f"?session={session}&after={after}" if session else ""
        try:
            async with websockets.connect(URL + resume, subprotocols=PROTOCOLS) as socket:
                async for frame in socket:
                    event = json.loads(frame)
                    match event["type"]:
                        case "session:ready":
                            session, delay = event["session"], 0.1
                            await socket.send(json.dumps(MESSAGE))
                            for pending in event["pending"]:
                                if pending["kind"] == "approval":
                                    await decide(socket, pending)
                        case "tool:approval_required":
                            await decide(socket, event)
                        case "tool:result":
                            print("[the tool is done]" if event["ok"] else "[the tool failed]")
                        case "text":
                            print(event["text"], flush=True)
                        case "turn:end":
                            return
                    # A client ignores events that it does not know.
                    if event["type"] != "session:ready":
                        after = event.get("seq", after)
                code = socket.close_code
        except websockets.ConnectionClosed as error:  # also by a send, when the connection was lost meanwhile
            code = error.rcvd.code if error.rcvd else 1006
        except OSError as error:
            code = str(error)
        if isinstance(code, int) and 4400 <= code < 4408:
            sys.exit(f"closed with {code}: there is no use in coming back")
        await asyncio.sleep(delay)
        delay = min(2 * delay, 15)


asyncio.run(main())

"""A client that resumes: each durable event once and in order, each message once, whatever happens to the connection.

    python3 examples/python/resuming_client.py "List all files in /workspace"

Needs the package `websockets` (Debian: python3-websockets). FAIRLEAD_URL and FAIRLEAD_TOKEN say where, and as whom.
Copy the class `Session` into a program of yours. Frames and events: docs/protocol.md.
"""

import asyncio
import json
import os
import random
import sys
import uuid

import websockets

# Close codes after which a second attempt changes nothing.
FINAL = {4400, 4401, 4403, 4404, 4405}
# Refusals that pass by themselves.
PASSING = {"ERR_UNAVAILABLE", "ERR_DRAINING", "ERR_STORE_CONFLICT", "ERR_CHANNEL_CLOSED", "ERR_CHANNEL_TIMEOUT"}


class Closed(Exception):
    """The session has ended, and coming back is useless."""


class Session:
    def __init__(self, url, token=None, session=None, after=None, ping_seconds=20):
        self.url, self.session, self.after = url, session, after
        self.pending = {}  # approvals that are open, by callId
        # The token as a subprotocol, as browsers send it; an Authorization header does as well.
        self._protocols = ["fairlead.v1"] + ([f"bearer.{token}"] if token else [])
        self._ping_seconds = ping_seconds
        self._socket = None
        self._waiting = {}  # id -> frame that has no answer yet
        self._replay_to = None
        self._later = set()

    async def send(self, text):
        """Starts a turn. With its id a message runs once, however often it is sent."""
        await self._keep({"type": "message", "id": str(uuid.uuid4()), "text": text})

    async def answer(self, call_id, approved, reason=None):
        """Says yes or no to a tool call."""
        frame = {"type": "tool:approval", "id": str(uuid.uuid4()), "callId": call_id, "approved": approved}
        await self._keep(frame if reason is None else {**frame, "reason": reason})

    async def events(self):
        """Yields every event, durable ones once, through all connections. Ends with Closed."""
        failures = 0
        while True:
            code = 1006
            try:
                async with websockets.connect(
                    self._address(),
                    subprotocols=self._protocols,
                    max_size=None,
                    ping_interval=self._ping_seconds,
                    ping_timeout=self._ping_seconds,
                    close_timeout=1,
                ) as socket:
                    async for frame in socket:
                        event = json.loads(frame)
                        if event["type"] == "session:ready":
                            failures = 0
                        if not self._take(event, socket):
                            continue
                        yield event
                        await self._flush(socket)
                code = socket.close_code or 1006
            except websockets.ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else 1006
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException):
                pass  # no server there now, or no answer
            finally:
                self._socket = None
            if code in FINAL:
                raise Closed(f"closed with {code}: there is no use in coming back")
            failures += 1
            await asyncio.sleep(0.1 + random.random() * min(15, 0.2 * 2**failures))

    def _address(self):
        resume = f"?session={self.session}" if self.session else ""
        return self.url + (f"{resume}&after={self.after}" if resume and self.after is not None else resume)

    def _take(self, event, socket):
        """False for an event that was given before."""
        kind, seq = event["type"], event.get("seq")
        if kind == "session:ready":
            self.session, self._replay_to = event["session"], seq
            if self.after is None or event.get("reset"):
                self.after = seq
            self.pending = {item["callId"]: item for item in event["pending"] if item["kind"] == "approval"}
            return True
        if kind == "message:accepted":
            self._waiting.pop(event.get("id"), None)
        if kind == "error":
            self._refused(event)
        if seq is None:
            return True
        if seq <= self.after:
            return False
        if seq > self.after + 1 and self.after > 0:
            raise OSError("an event is missing: come back and ask for it")
        self.after = seq
        is_replay = self._replay_to is not None  # what is open since, session:ready has told
        if kind == "tool:approval_required" and not is_replay:
            self.pending[event["callId"]] = event
        if kind in ("tool:approved", "tool:denied"):
            self._forget(event["callId"])
        if kind == "turn:end" and not is_replay:
            for call_id in list(self.pending):
                self._forget(call_id)
        return True

    def _forget(self, call_id):
        self.pending.pop(call_id, None)
        self._waiting = {key: frame for key, frame in self._waiting.items() if frame.get("callId") != call_id}

    def _refused(self, event):
        frame = self._waiting.get(event.get("id"))
        if frame is None:
            return
        if event["code"] in PASSING:
            task = asyncio.ensure_future(self._again(frame, event.get("retryAfterMs", 500) / 1000))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
            return
        del self._waiting[event["id"]]
        if event["code"] == "ERR_CALL_NOT_PENDING":
            self.pending.pop(frame.get("callId"), None)

    async def _again(self, frame, seconds):
        await asyncio.sleep(seconds)
        if frame["id"] in self._waiting:
            await self._put(frame)

    async def _flush(self, socket):
        """Once the replay has answered what it can, sends the rest again."""
        if self._replay_to is None or self.after < self._replay_to:
            return
        self._replay_to = None
        self._socket = socket
        for frame in list(self._waiting.values()):
            if "callId" in frame and frame["callId"] not in self.pending:
                del self._waiting[frame["id"]]
            else:
                await self._put(frame)

    async def _keep(self, frame):
        self._waiting[frame["id"]] = frame
        await self._put(frame)

    async def _put(self, frame):
        try:
            if self._socket is not None:
                await self._socket.send(json.dumps(frame))
        except websockets.ConnectionClosed:
            pass  # it is sent again after the reconnect


async def main():
    session = Session(os.environ.get("FAIRLEAD_URL", "ws://127.0.0.1:3000/v1/ws"), os.environ.get("FAIRLEAD_TOKEN"))
    await session.send((sys.argv + ["List all files in /workspace"])[1])
    asked = set()

    async def decide(call):
        question = f"{call['name']} {json.dumps(call['args'])}: allow? [y/n] "
        said = await asyncio.to_thread(input, question)  # a thread, so that events are read meanwhile
        await session.answer(call["callId"], said.startswith("y"))

    tasks = []
    async for event in session.events():
        for call in session.pending.values():
            if call["callId"] not in asked:
                asked.add(call["callId"])
                tasks.append(asyncio.create_task(decide(call)))
        if event["type"] == "text":
            print(event["text"], flush=True)
        elif event["type"] == "tool:result":
            print("[the tool is done]" if event["ok"] else "[the tool failed]")
        elif event["type"] == "turn:end":
            break


if __name__ == "__main__":
    asyncio.run(main())

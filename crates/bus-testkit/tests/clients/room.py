"""A stock NATS client in a room without encryption: what works within its permissions, and what is refused.

Reads one JSON document from standard input:
  { "url", "subject", "foreign", "writer": {"seed", "id"}, "reader": {"seed", "id"}, "stranger": {"seed", "id"} }
Prints "ok" and exits with 0 when everything was as it should be.
"""

import asyncio
import json
import sys

import nats
from nats.errors import NoServersError

WAIT = 10


async def connect(url, user, errors):
    async def on_error(error):
        await errors.put(str(error))

    return await nats.connect(
        url,
        nkeys_seed_str=user["seed"],
        inbox_prefix=f"_INBOX_{user['id']}",
        error_cb=on_error,
        allow_reconnect=False,
    )


async def settled(client):
    """Waits until the server has dealt with all that was said. The client writes a PING past what still waits to be
    written, a subscription for example; but that is written before the answer is there, and a second PING comes after."""
    await client.flush()
    await client.flush()


async def refused(errors, what):
    message = await asyncio.wait_for(errors.get(), WAIT)
    assert "permissions violation" in message.lower(), message
    assert what.lower() in message.lower(), message


async def main():
    given = json.load(sys.stdin)
    url, subject, foreign = given["url"], given["subject"], given["foreign"]
    writer_errors, reader_errors = asyncio.Queue(), asyncio.Queue()
    writer = await connect(url, given["writer"], writer_errors)
    reader = await connect(url, given["reader"], reader_errors)

    # Both members receive what a writer publishes on the room's subject and below it.
    at_reader = await reader.subscribe(f"{subject}.>")
    at_writer = await writer.subscribe(f"{subject}.>")
    await settled(reader)
    await settled(writer)
    await writer.publish(f"{subject}.temperature", b"21.5", headers={"Unit": "C"})
    for subscription in (at_reader, at_writer):
        message = await subscription.next_msg(timeout=WAIT)
        assert message.data == b"21.5", message
        assert message.subject == f"{subject}.temperature", message
        assert message.headers["Unit"] == "C", message

    # Outside: writing as a reader, another room, everything, somebody else's inbox, JetStream's API.
    await reader.publish(f"{subject}.temperature", b"forged")
    await refused(reader_errors, f'Publish to "{subject}.temperature"')
    await writer.publish(foreign, b"intruder")
    await refused(writer_errors, f'Publish to "{foreign}"')
    await writer.publish("$JS.API.STREAM.LIST", b"")
    await refused(writer_errors, 'Publish to "$JS.API.STREAM.LIST"')
    for filter in (foreign, ">", f"_INBOX_{given['reader']['id']}.>", "$SYS.>"):
        await writer.subscribe(filter)
        await refused(writer_errors, f'Subscription to "{filter}"')

    # After all that, the connections still work.
    direct = await reader.subscribe(subject)
    await settled(reader)
    await writer.publish(subject, b"still here")
    message = await direct.next_msg(timeout=WAIT)
    assert message.data == b"still here", message

    # Somebody who is not on the allowlist is not let in at all.
    try:
        await nats.connect(url, nkeys_seed_str=given["stranger"]["seed"], allow_reconnect=False, max_reconnect_attempts=1)
    except (NoServersError, nats.errors.Error) as error:
        assert "authorization" in str(error).lower() or isinstance(error, NoServersError), error
    else:
        raise AssertionError("a stranger was let in")

    await writer.close()
    await reader.close()
    print("ok")


asyncio.run(main())

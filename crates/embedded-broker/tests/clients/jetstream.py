"""What a program that uses nats-py may expect of JetStream.

The first line of standard input is a JSON document: { "url", "object": bytes of the large object }. Prints "ok" at the
end.
"""

import asyncio
import io
import json
import sys

import nats
from nats.errors import TimeoutError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StreamConfig,
)
from nats.js.errors import (
    APIError,
    BadRequestError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoStreamResponseError,
    NotFoundError,
    ObjectNotFoundError,
)

WAIT = 20


async def raises(kinds, awaitable):
    try:
        result = await awaitable
    except kinds as error:
        return error
    raise AssertionError(f"no error, but {result!r}")


async def fill(js, subject, count):
    for number in range(1, count + 1):
        await js.publish(subject, str(number).encode())


async def streams(js):
    info = await js.add_stream(name="py", subjects=["py.>"])
    assert info.config.retention == RetentionPolicy.LIMITS and info.state.messages == 0, info
    await fill(js, "py.a", 5)
    ack = await js.publish("py.b", b"x", headers={"Nats-Msg-Id": "one"})
    assert (ack.seq, ack.duplicate) == (6, None), ack
    ack = await js.publish("py.b", b"x", headers={"Nats-Msg-Id": "one"})
    assert (ack.seq, ack.duplicate) == (6, True), ack
    assert await js.find_stream_name_by_subject("py.anything") == "py"
    info = await js.stream_info("py", subjects_filter=">")
    assert info.state.subjects == {"py.a": 5, "py.b": 1}, info
    message = await js.get_msg("py", 2)
    assert (message.subject, message.data) == ("py.a", b"2"), message
    assert (await js.get_last_msg("py", "py.a")).seq == 5
    await js.delete_msg("py", 2)
    await raises(NotFoundError, js.get_msg("py", 2))
    assert await js.purge_stream("py", subject="py.a", keep=1)
    assert (await js.stream_info("py")).state.messages == 2
    changed = await js.update_stream(name="py", subjects=["py.>", "more"], description="changed", allow_direct=True)
    assert changed.config.subjects == ["py.>", "more"], changed
    assert (await js.get_msg("py", 5, direct=True)).data == b"5"
    assert [stream.config.name for stream in await js.streams_info()] == ["py"]
    await raises(BadRequestError, js.add_stream(name="py", subjects=["other"]))
    error = await raises(APIError, js.publish("py.a", b"x", headers={"Nats-Expected-Last-Sequence": "99"}))
    assert error.err_code == 10071, error
    await raises(NoStreamResponseError, js.publish("nowhere", b"x"))
    account = await js.account_info()
    assert account.streams == 1 and account.limits.max_streams == -1, account
    assert await js.delete_stream("py")
    await raises(NotFoundError, js.stream_info("py"))


async def limits(js):
    await js.add_stream(name="few", subjects=["few"], max_msgs=2, discard=DiscardPolicy.NEW)
    await fill(js, "few", 2)
    error = await raises(APIError, js.publish("few", b"3"))
    assert error.err_code == 10077, error
    await js.delete_stream("few")


async def pulls(js):
    await js.add_stream(name="pull", subjects=["pull.>"])
    await fill(js, "pull.a", 25)
    subscription = await js.pull_subscribe("pull.a", "worker")
    first, = await subscription.fetch(1, timeout=WAIT)
    assert (first.subject, first.data, first.metadata.sequence.stream) == ("pull.a", b"1", 1), first
    assert (first.metadata.num_delivered, first.metadata.num_pending) == (1, 24), first.metadata
    await first.ack_sync()
    rest = []
    while len(rest) < 24:
        for message in await subscription.fetch(10, timeout=WAIT):
            rest.append(message.data)
            await message.ack()
    assert rest == [str(number).encode() for number in range(2, 26)], rest
    await raises(TimeoutError, subscription.fetch(1, timeout=0.3))
    await raises(TimeoutError, subscription.fetch(5, timeout=0.3))
    info = await subscription.consumer_info()
    assert info.num_pending == 0, info
    # What is sent back comes again.
    await js.publish("pull.a", b"again")
    message, = await subscription.fetch(1, timeout=WAIT)
    await message.nak()
    message, = await subscription.fetch(1, timeout=WAIT)
    assert message.metadata.num_delivered == 2, message.metadata
    await message.in_progress()
    await message.term()
    await subscription.unsubscribe()
    # A waiting fetch gets what comes.
    config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
    subscription = await js.pull_subscribe("pull.b", config=config)
    waiting = asyncio.ensure_future(subscription.fetch(2, timeout=1))
    await asyncio.sleep(0)
    await js.publish("pull.b", b"new")
    assert [message.data for message in await waiting] == [b"new"]
    await subscription.unsubscribe()
    assert [consumer.name for consumer in await js.consumers_info("pull")][-1]
    await js.delete_consumer("pull", "worker")
    await raises(NotFoundError, js.consumer_info("pull", "worker"))
    await js.delete_stream("pull")


async def work_queue(js):
    await js.add_stream(name="work", subjects=["work"], retention=RetentionPolicy.WORK_QUEUE)
    await fill(js, "work", 5)
    subscription = await js.pull_subscribe("work", "crew")
    for message in await subscription.fetch(5, timeout=WAIT):
        await message.ack_sync()
    while (await js.stream_info("work")).state.messages:
        await asyncio.sleep(0.005)
    await subscription.unsubscribe()
    await js.delete_stream("work")


async def pushes(js):
    await js.add_stream(name="push", subjects=["push.>"])
    await fill(js, "push.a", 10)
    got = asyncio.Queue()

    async def receive(message):
        await message.ack()
        await got.put(message.data)

    subscription = await js.subscribe("push.a", durable="listener", cb=receive, manual_ack=True)
    for number in range(1, 11):
        assert await asyncio.wait_for(got.get(), WAIT) == str(number).encode()
    await js.publish("push.a", b"new")
    assert await asyncio.wait_for(got.get(), WAIT) == b"new"
    await subscription.unsubscribe()
    # A group shares.
    members = [await js.subscribe("push.b", queue="crew", durable="crew", manual_ack=True) for _ in range(2)]
    await fill(js, "push.b", 10)
    data = []
    for member in members:
        while True:
            try:
                message = await member.next_msg(timeout=0.5)
            except TimeoutError:
                break
            await message.ack()
            data.append(int(message.data))
    assert sorted(data) == list(range(1, 11)), data
    for member in members:
        await member.unsubscribe()
    # In order, with heartbeats and flow control.
    ordered = await js.subscribe("push.>", ordered_consumer=True)
    for number in range(1, 11):
        assert (await ordered.next_msg(timeout=WAIT)).data == str(number).encode()
    await ordered.unsubscribe()
    # Without acknowledgements and with heartbeats.
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.LAST)
    last = await js.subscribe("push.b", config=config, idle_heartbeat=0.5, flow_control=True)
    assert (await last.next_msg(timeout=WAIT)).data == b"10"
    await last.unsubscribe()
    await js.delete_stream("push")


async def bucket(js):
    kv = await js.create_key_value(bucket="settings", history=5)
    assert await kv.put("colour", b"red") == 1
    entry = await kv.get("colour")
    assert (entry.value, entry.revision) == (b"red", 1), entry
    await raises(KeyNotFoundError, kv.get("none"))
    assert await kv.create("size", b"1") == 2
    await raises(KeyWrongLastSequenceError, kv.create("size", b"2"))
    assert await kv.update("size", b"2", last=2) == 3
    await raises(KeyWrongLastSequenceError, kv.update("size", b"3", last=2))
    await kv.put("colour", b"blue")
    assert (await kv.get("colour", revision=1)).value == b"red"
    assert [entry.value for entry in await kv.history("colour")] == [b"red", b"blue"]
    assert sorted(await kv.keys()) == ["colour", "size"]
    await kv.delete("colour")
    await raises(KeyNotFoundError, kv.get("colour"))
    await kv.create("colour", b"green")
    await kv.purge("colour")
    assert [entry.operation for entry in await kv.history("colour")] == ["PURGE"]
    assert await kv.keys() == ["size"]
    await kv.purge_deletes(olderthan=-1)
    status = await kv.status()
    assert (status.bucket, status.history, status.values) == ("settings", 5, 2), status
    direct = await js.create_key_value(KeyValueConfig(bucket="direct", direct=True))
    await direct.put("k", b"v")
    assert (await direct.get("k")).value == b"v"
    await js.delete_key_value("direct")
    await js.delete_key_value("settings")
    await raises(BucketNotFoundError, js.key_value("settings"))


async def watches(js):
    kv = await js.create_key_value(bucket="watched", history=3)
    await kv.put("a", b"1")
    await kv.put("b", b"2")
    watch = await kv.watchall()
    seen = [await watch.updates(timeout=WAIT) for _ in range(2)]
    assert [(entry.key, entry.value) for entry in seen] == [("a", b"1"), ("b", b"2")], seen
    assert await watch.updates(timeout=WAIT) is None, "the end of what was there"
    await kv.put("a", b"3")
    await kv.delete("b")
    seen = [await watch.updates(timeout=WAIT) for _ in range(2)]
    assert [(entry.key, entry.value, entry.operation) for entry in seen] == [("a", b"3", None), ("b", b"", "DEL")], seen
    await watch.stop()
    one = await kv.watch("a", include_history=True)
    assert [(await one.updates(timeout=WAIT)).value for _ in range(2)] == [b"1", b"3"]
    assert await one.updates(timeout=WAIT) is None
    await one.stop()
    nothing = await kv.watch("none")
    assert await nothing.updates(timeout=WAIT) is None
    await nothing.stop()
    await js.delete_key_value("watched")


async def lives(js):
    kv = await js.create_key_value(KeyValueConfig(bucket="brief", limit_marker_ttl=30))
    watch = await kv.watchall()
    assert await watch.updates(timeout=WAIT) is None
    await kv.create("k", b"x", msg_ttl=1)
    assert (await watch.updates(timeout=WAIT)).value == b"x"
    over = await watch.updates(timeout=WAIT)
    assert (over.key, over.operation) == ("k", "PURGE"), over
    # Read without the watch, a marker is an entry without a value.
    assert not (await kv.get("k")).value
    await watch.stop()
    await js.delete_key_value("brief")


async def objects(js, size):
    store = await js.create_object_store(bucket="files")
    first = bytes(range(256)) * 1200
    info = await store.put("first", first)
    assert (info.size, info.chunks) == (len(first), 3), info
    await store.put("second", b"small")
    assert (await store.get("first")).data == first
    watch = await store.watch()
    seen = [await watch.updates(timeout=WAIT) for _ in range(2)]
    assert sorted(info.name for info in seen) == ["first", "second"], seen
    await watch.stop()
    await store.put("first", b"replaced")
    assert (await store.get("first")).data == b"replaced"
    assert sorted(info.name for info in await store.list()) == ["first", "second"]
    await store.delete("second")
    await raises(ObjectNotFoundError, store.get("second"))
    large = bytes(index % 251 for index in range(251)) * (size // 251 + 1)
    await store.put("large", large)
    read = io.BytesIO()
    await store.get("large", writeinto=read)
    assert read.getvalue() == large, "the large object is what was stored"
    await store.seal()
    await raises(Exception, store.put("third", b"no"))
    await js.delete_object_store("files")


async def main():
    given = json.loads(sys.stdin.readline())
    client = await nats.connect(given["url"])
    js = client.jetstream(timeout=WAIT)
    for check in (streams, limits, pulls, work_queue, pushes, bucket, watches, lives):
        await asyncio.wait_for(check(js), WAIT * 2)
    await objects(js, given["object"])
    await client.close()
    print("ok")


asyncio.run(main())

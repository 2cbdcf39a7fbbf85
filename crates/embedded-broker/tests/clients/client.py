"""What a program that uses nats-py may expect of a NATS server.

The first line of standard input is a JSON document:
  { "url", "logins": [{"url", "token" | "user" + "pass" | "seed", "wrong": {..}}], "tls": {"url", "ca"},
    "limited": {"url", "user", "pass"} }
Prints "restart" when the server at "url" shall be stopped and started again, and "ok" at the end.
"""

import asyncio
import json
import ssl
import sys

import nats
from nats.errors import MaxPayloadError, NoRespondersError

WAIT = 20


def credentials(login):
    if "token" in login:
        return {"token": login["token"]}
    if "seed" in login:
        return {"nkeys_seed_str": login["seed"]}
    return {"user": login["user"], "password": login["pass"]}


async def says_hello(client):
    subscription = await client.subscribe("hello")
    await client.publish("hello", b"world")
    assert (await subscription.next_msg(timeout=WAIT)).data == b"world"


async def logs_in(login):
    client = await nats.connect(login["url"], allow_reconnect=False, **credentials(login))
    await says_hello(client)
    await client.close()
    try:
        await nats.connect(login["url"], allow_reconnect=False, **credentials({**login, **login["wrong"]}))
    except Exception as error:  # The library raises several kinds.
        assert "authorization violation" in str(error).lower(), repr(error)
    else:
        raise AssertionError("wrong credentials were let in")


async def uses_tls(tls):
    context = ssl.create_default_context(cafile=tls["ca"])
    client = await nats.connect(tls["url"], tls=context, tls_hostname="localhost", allow_reconnect=False)
    await says_hello(client)
    await client.close()


async def publishes(client):
    subscription = await client.subscribe("pub.*.x")
    await client.publish("pub.a.x", b"1", headers={"Key": "value"})
    await client.publish("pub.a.y", b"2")
    await client.publish("pub.b.x", b"3")
    first, second = [await subscription.next_msg(timeout=WAIT) for _ in range(2)]
    assert (first.subject, first.data, first.headers) == ("pub.a.x", b"1", {"Key": "value"}), first
    assert (second.subject, second.data, second.headers) == ("pub.b.x", b"3", None), second


async def shares_work(client):
    done = []

    def worker(name):
        async def work(message):
            done.append((name, message.data))

        return work

    for name in ("first", "second"):
        await client.subscribe("work", queue="crew", cb=worker(name))
    for number in range(100):
        await client.publish("work", str(number).encode())
    await client.flush()
    while len(done) < 100:
        await asyncio.sleep(0.01)
    assert sorted(int(data) for _, data in done) == list(range(100)), done
    assert {name for name, _ in done} == {"first", "second"}, "one worker did everything"


async def requests(client):
    async def answer(message):
        await message.respond(message.data.upper())

    for _ in range(3):
        await client.subscribe("upper", cb=answer)
    await client.flush()
    assert (await client.request("upper", b"one", timeout=WAIT)).data == b"ONE"
    # Everybody's answer, on an inbox of its own.
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish("upper", b"many", reply=inbox)
    for _ in range(3):
        assert (await answers.next_msg(timeout=WAIT)).data == b"MANY"
    try:
        await client.request("nobody", b"?", timeout=WAIT)
    except NoRespondersError:
        pass
    else:
        raise AssertionError("nobody answered")


async def sends_a_megabyte(client):
    subscription = await client.subscribe("large")
    payload = bytes(range(256)) * 4096
    await client.publish("large", payload)
    assert (await subscription.next_msg(timeout=WAIT)).data == payload
    try:
        await client.publish("large", payload + b"x")
    except MaxPayloadError:
        pass
    else:
        raise AssertionError("more than the server takes")


async def is_limited(limited):
    errors = asyncio.Queue()

    async def on_error(error):
        await errors.put(str(error).lower())

    client = await nats.connect(
        limited["url"], user=limited["user"], password=limited["pass"], error_cb=on_error, allow_reconnect=False
    )
    await client.publish("forbidden", b"")
    assert 'permissions violation for publish to "forbidden"' in await asyncio.wait_for(errors.get(), WAIT)
    await client.subscribe("forbidden")
    assert 'permissions violation for subscription to "forbidden"' in await asyncio.wait_for(errors.get(), WAIT)
    allowed = await client.subscribe("allowed.>")
    await client.publish("allowed.a", b"yes")
    assert (await allowed.next_msg(timeout=WAIT)).data == b"yes"
    await client.close()


async def drains(url):
    client = await nats.connect(url)
    got = []

    async def slow(message):
        await asyncio.sleep(0.001)
        got.append(message.data)

    await client.subscribe("drain", cb=slow)
    for number in range(100):
        await client.publish("drain", str(number).encode())
    await client.drain()
    assert len(got) == 100, len(got)
    assert client.is_closed


async def comes_back(url):
    back = asyncio.Event()

    async def on_reconnected():
        back.set()

    client = await nats.connect(
        url, reconnected_cb=on_reconnected, reconnect_time_wait=0.05, max_reconnect_attempts=-1
    )
    subscription = await client.subscribe("again")
    await client.flush()
    print("restart", flush=True)
    await asyncio.wait_for(back.wait(), WAIT)
    await client.publish("again", b"here")
    assert (await subscription.next_msg(timeout=WAIT)).data == b"here"
    await client.close()


async def main():
    given = json.loads(sys.stdin.readline())
    for login in given["logins"]:
        await logs_in(login)
    await uses_tls(given["tls"])
    client = await nats.connect(given["url"])
    for check in (publishes, shares_work, requests, sends_a_megabyte):
        await asyncio.wait_for(check(client), WAIT)
    await client.close()
    await is_limited(given["limited"])
    await drains(given["url"])
    await comes_back(given["url"])
    print("ok")


asyncio.run(main())

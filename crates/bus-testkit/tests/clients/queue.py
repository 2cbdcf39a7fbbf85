"""Two workers on one work queue of a room's history, with the stock NATS client and nothing else.

Reads one JSON document from standard input:
  { "url", "subject", "room", "consumer", "workers": [{"seed", "id"}, {"seed", "id"}] }
Prints "ok" and exits with 0 when each message was dealt with once, and the history has all of them.
"""

import asyncio
import json
import sys

import nats

WAIT = 30


class Refused(Exception):
    pass


async def ask(client, user, request, body):
    """Sends a request to the bus and returns the messages of the answer. It is over with the first one that has an
    `End`, a `Done` or an `Error` header."""
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    await client.publish(f"unibus.rpc.{user}.{request}", json.dumps(body).encode(), reply=inbox)
    messages = []
    try:
        while True:
            message = await answers.next_msg(timeout=WAIT)
            headers = message.headers or {}
            if "Unibus-Stored-Error" in headers:
                raise Refused(f"{headers['Unibus-Stored-Error']}: {message.data.decode()}")
            if "Unibus-Stored-End" in headers or "Unibus-Stored-Done" in headers:
                return messages, headers
            messages.append(message)
    finally:
        await answers.unsubscribe()


async def connect(url, user):
    # Only this inbox may be subscribed to, and only there the bus answers.
    return await nats.connect(url, nkeys_seed_str=user["seed"], inbox_prefix=f"_INBOX_{user['id']}")


async def work(url, user, queue, done, everything):
    client = await connect(url, user)
    while not everything.is_set():
        jobs, _ = await ask(client, user["id"], f"{queue}.fetch", {"max": 3, "wait": 1})
        for job in jobs:
            token = {"ack": job.headers["Unibus-Stored-Ack"]}
            if job.headers["Unibus-Stored-Delivery"] == "1" and job.data.endswith(b"5"):
                # Too hard at the first attempt: somebody gets it again.
                await ask(client, user["id"], f"{queue}.nak", token)
                continue
            await ask(client, user["id"], f"{queue}.ack", token)
            done.append(job.data.decode())
        if len(done) == 20:
            everything.set()
    await client.close()


async def main():
    given = json.load(sys.stdin)
    first, second = given["workers"]
    queue = f"consumer.{given['room']}.{given['consumer']}"
    client = await connect(given["url"], first)
    for number in range(20):
        # The bus acknowledges a message of such a room when it is on disk.
        stored = await client.request(given["subject"], f"job {number}".encode(), timeout=WAIT)
        assert json.loads(stored.data)["seq"] == number + 1, stored.data

    done, everything = [], asyncio.Event()
    workers = [work(given["url"], user, queue, done, everything) for user in (first, second)]
    await asyncio.wait_for(asyncio.gather(*workers), WAIT)
    assert sorted(done) == sorted(f"job {number}" for number in range(20)), done

    # The history keeps what was worked on; the pages are as large as the reader wants.
    texts, start = [], 1
    while True:
        page, end = await ask(client, first["id"], f"history.{given['room']}", {"from": {"seq": start}, "max": 7})
        texts += [message.data.decode() for message in page]
        start = int(end["Unibus-Stored-End"])
        if end["Unibus-Stored-More"] == "0":
            break
    assert texts == [f"job {number}" for number in range(20)], texts
    try:
        await ask(client, first["id"], f"{queue}.ack", {"ack": "1.999.1.1700000000000000000.0"})
    except Refused as refused:
        assert "not_delivered" in str(refused), refused
    await client.close()
    print("ok")


asyncio.run(main())

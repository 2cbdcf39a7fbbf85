// A stock NATS client in a room without encryption: what works within its permissions, and what is refused.
//
// Reads one JSON document from standard input:
//   { "url", "subject", "foreign", "writer": {"seed", "id"}, "reader": {"seed", "id"}, "stranger": {"seed", "id"} }
// Prints "ok" and exits with 0 when everything was as it should be. The client library is found in the
// directory that the first argument names (a node_modules directory).

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const { connect, headers, nkeyAuthenticator, PermissionViolationError, AuthorizationError } =
  createRequire(`${process.argv[2]}/`)("@nats-io/transport-node");

const WAIT = 10_000;

function within(promise, what) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), WAIT);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

function login(url, user) {
  return connect({
    servers: url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(user.seed)),
    inboxPrefix: `_INBOX_${user.id}`,
    reconnect: false,
  });
}

// The next permissions error that the connection reports.
async function refusal(statuses, operation, subject) {
  for (;;) {
    const { value } = await within(statuses.next(), `refusal of ${operation} ${subject}`);
    if (value.type !== "error") continue;
    assert.ok(value.error instanceof PermissionViolationError, String(value.error));
    assert.equal(value.error.operation, operation);
    assert.equal(value.error.subject, subject);
    return;
  }
}

async function next(subscription) {
  const { value } = await within(subscription[Symbol.asyncIterator]().next(), `message on ${subscription.getSubject()}`);
  return value;
}

const given = JSON.parse(await text(process.stdin));
const { url, subject, foreign } = given;
const writer = await login(url, given.writer);
const reader = await login(url, given.reader);
const writerStatuses = writer.status()[Symbol.asyncIterator]();
const readerStatuses = reader.status()[Symbol.asyncIterator]();

// Both members receive what a writer publishes on the room's subject and below it.
const atReader = reader.subscribe(`${subject}.>`);
const atWriter = writer.subscribe(`${subject}.>`);
await reader.flush();
await writer.flush();
const unit = headers();
unit.set("Unit", "C");
writer.publish(`${subject}.temperature`, "21.5", { headers: unit });
for (const subscription of [atReader, atWriter]) {
  const message = await next(subscription);
  assert.equal(message.string(), "21.5");
  assert.equal(message.subject, `${subject}.temperature`);
  assert.equal(message.headers.get("Unit"), "C");
}

// Outside: writing as a reader, another room, everything, somebody else's inbox, JetStream's API.
reader.publish(`${subject}.temperature`, "forged");
await refusal(readerStatuses, "publish", `${subject}.temperature`);
for (const target of [foreign, "$JS.API.STREAM.LIST"]) {
  writer.publish(target, "intruder");
  await refusal(writerStatuses, "publish", target);
}
for (const filter of [foreign, ">", `_INBOX_${given.reader.id}.>`, "$SYS.>"]) {
  writer.subscribe(filter, { callback: () => {} });
  await refusal(writerStatuses, "subscription", filter);
}

// After all that, the connections still work.
const direct = reader.subscribe(subject);
await reader.flush();
writer.publish(subject, "still here");
assert.equal((await next(direct)).string(), "still here");

// Somebody who is not on the allowlist is not let in at all.
await assert.rejects(login(url, given.stranger), AuthorizationError);

await writer.close();
await reader.close();
console.log("ok");

// What a program that uses nats.js may expect of a NATS server, over TCP, TLS and WebSocket.
//
// The first line of standard input is a JSON document:
//   { "url", "websocket", "logins": [{"url", "token" | "user" + "pass" | "seed", "wrong": {..}}],
//     "tls": {"url", "ca"}, "limited": {"url", "user", "pass"} }
// Prints "restart" when the server at "url" shall be stopped and started again, and "ok" at the end. The client
// library is found in the directory that the first argument names (a node_modules directory).

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const load = createRequire(`${process.argv[2]}/`);
const {
  connect, createInbox, headers, nkeyAuthenticator, wsconnect,
  AuthorizationError, NoRespondersError, PermissionViolationError,
} = load("@nats-io/transport-node");

const WAIT = 20_000;

function within(promise, what) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), WAIT);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

// A subscription can be iterated over once only.
const iterators = new WeakMap();

async function next(subscription) {
  if (!iterators.has(subscription)) iterators.set(subscription, subscription[Symbol.asyncIterator]());
  const { value } = await within(iterators.get(subscription).next(), `message on ${subscription.getSubject()}`);
  return value;
}

function credentials({ token, user, pass, seed }) {
  if (seed) return { authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) };
  return token ? { token } : { user, pass };
}

async function saysHello(client) {
  const subscription = client.subscribe("hello");
  client.publish("hello", "world");
  assert.equal((await next(subscription)).string(), "world");
}

async function logsIn(login) {
  const client = await connect({ servers: login.url, reconnect: false, ...credentials(login) });
  await saysHello(client);
  await client.close();
  const wrong = credentials({ ...login, ...login.wrong });
  await assert.rejects(connect({ servers: login.url, reconnect: false, ...wrong }), AuthorizationError);
}

async function usesTls({ url, ca }) {
  const client = await connect({ servers: url, tls: { caFile: ca }, reconnect: false });
  await saysHello(client);
  await client.close();
}

async function publishes(client) {
  const subscription = client.subscribe("pub.*.x");
  const key = headers();
  key.set("Key", "value");
  client.publish("pub.a.x", "1", { headers: key });
  client.publish("pub.a.y", "2");
  client.publish("pub.b.x", "3");
  const first = await next(subscription);
  assert.deepEqual([first.subject, first.string(), first.headers.get("Key")], ["pub.a.x", "1", "value"]);
  const second = await next(subscription);
  assert.deepEqual([second.subject, second.string(), second.headers], ["pub.b.x", "3", undefined]);
}

async function sharesWork(client) {
  const done = [];
  await within(new Promise((resolve) => {
    for (const name of ["first", "second"]) {
      client.subscribe("work", { queue: "crew", callback: (_, message) => {
        if (done.push([name, Number(message.string())]) === 100) resolve();
      } });
    }
    for (let number = 0; number < 100; number++) client.publish("work", String(number));
  }), "all the work");
  assert.deepEqual(done.map(([, number]) => number).sort((a, b) => a - b), [...Array(100).keys()]);
  assert.deepEqual(new Set(done.map(([name]) => name)), new Set(["first", "second"]));
}

async function requests(client) {
  for (let n = 0; n < 3; n++) {
    client.subscribe("upper", { callback: (_, message) => message.respond(message.string().toUpperCase()) });
  }
  assert.equal((await client.request("upper", "one", { timeout: WAIT })).string(), "ONE");
  const answers = [];
  for await (const answer of await client.requestMany("upper", "many", { strategy: "count", maxMessages: 3, maxWait: WAIT })) {
    answers.push(answer.string());
  }
  assert.deepEqual(answers, ["MANY", "MANY", "MANY"]);
  const nobody = await client.request("nobody", "?", { timeout: WAIT }).catch((error) => error);
  assert.ok(nobody instanceof NoRespondersError || nobody.cause instanceof NoRespondersError, String(nobody));
}

async function sendsAMegabyte(client) {
  const subscription = client.subscribe("large");
  const payload = new Uint8Array(1024 * 1024).map((_, index) => index % 251);
  client.publish("large", payload);
  assert.deepEqual(Buffer.from((await next(subscription)).data), Buffer.from(payload));
  assert.throws(() => client.publish("large", new Uint8Array(1024 * 1024 + 1)));
}

async function isLimited({ url, user, pass }) {
  const client = await connect({ servers: url, user, pass, reconnect: false });
  const statuses = client.status()[Symbol.asyncIterator]();
  const refused = async (operation) => {
    for (;;) {
      const { value } = await within(statuses.next(), `refusal of ${operation}`);
      if (value.type !== "error") continue;
      assert.ok(value.error instanceof PermissionViolationError, String(value.error));
      assert.deepEqual([value.error.operation, value.error.subject], [operation, "forbidden"]);
      return;
    }
  };
  client.publish("forbidden");
  await refused("publish");
  client.subscribe("forbidden", { callback: () => {} });
  await refused("subscription");
  const allowed = client.subscribe("allowed.>");
  client.publish("allowed.a", "yes");
  assert.equal((await next(allowed)).string(), "yes");
  await client.close();
}

async function drains(url) {
  const client = await connect({ servers: url });
  let got = 0;
  client.subscribe("drain", { callback: () => got++ });
  for (let number = 0; number < 100; number++) client.publish("drain", String(number));
  await within(client.drain(), "end of the drain");
  assert.equal(got, 100);
  assert.ok(client.isClosed());
}

async function comesBack(url) {
  const client = await connect({ servers: url, reconnectTimeWait: 50, maxReconnectAttempts: -1 });
  const subscription = client.subscribe("again");
  await client.flush();
  const statuses = client.status()[Symbol.asyncIterator]();
  console.log("restart");
  while ((await within(statuses.next(), "reconnect")).value.type !== "reconnect");
  client.publish("again", "here");
  assert.equal((await next(subscription)).string(), "here");
  await client.close();
}

async function everything(client) {
  for (const check of [publishes, sharesWork, requests, sendsAMegabyte]) await check(client);
  assert.ok(createInbox().startsWith("_INBOX."));
  await client.close();
}

const given = JSON.parse(await text(process.stdin));
for (const login of given.logins) await logsIn(login);
await usesTls(given.tls);
await everything(await connect({ servers: given.url }));
await everything(await wsconnect({ servers: given.websocket }));
await isLimited(given.limited);
await drains(given.url);
await comesBack(given.url);
console.log("ok");

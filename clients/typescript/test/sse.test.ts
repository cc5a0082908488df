import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser, type ServerEvent } from "../src/sse.ts";

/** Parses a stream that arrives in these chunks. */
function parse(...pieces: string[]): ServerEvent[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

test("an event ends with an empty line, and not before", () => {
  assert.deepEqual(parse("data: a\n"), []);
  assert.deepEqual(parse("data: a\n", "\n"), [{ id: "", type: "message", data: "a" }]);
});

test("several data lines are one text", () => {
  const [event] = parse("event: message.sent\nid: 7\ndata: {\ndata:  \"a\": 1\ndata: }\n\n");
  assert.deepEqual(event, { id: "7", type: "message.sent", data: '{\n "a": 1\n}' });
});

test("comments, unknown fields and events without data are ignored", () => {
  assert.deepEqual(parse(": keep-alive\n\nevent: x\n\nwhatever: y\n\n"), []);
});

test("the type applies to one event, the id to all that follow", () => {
  const events = parse("id: 1\nevent: x\ndata: a\n\ndata: b\n\nid\ndata: c\n\n");
  assert.deepEqual(events.map(({ id, type }) => [id, type]), [["1", "x"], ["1", "message"], ["", "message"]]);
});

test("an id with U+0000 is ignored", () => {
  assert.equal(parse("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")[1]?.id, "1");
});

test("one space after the colon is not part of the value", () => {
  assert.deepEqual(parse("data:a\n\ndata: b\n\ndata:  c\n\ndata\n\n").map(({ data }) => data), ["a", "b", " c", ""]);
});

test("lines end with LF, CR or CR LF, wherever the chunks end", () => {
  const stream = "data: a\r\n\r\ndata: b\r\rdata: c\n\n";
  const expected = ["a", "b", "c"];
  assert.deepEqual(parse(stream).map(({ data }) => data), expected);
  assert.deepEqual(parse(...stream).map(({ data }) => data), expected);
});

test("a byte order mark at the very start is skipped, elsewhere it is text", () => {
  assert.deepEqual(parse("\uFEFFdata: \uFEFFa\n\n").map(({ data }) => data), ["\uFEFFa"]);
});

test("retry is accepted if it is a number", () => {
  const parser = new SseParser();
  parser.push("retry: 2500\nretry: soon\n\n");
  assert.equal(parser.hints.retry, 2500);
});

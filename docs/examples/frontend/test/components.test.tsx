import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToStaticMarkup } from "react-dom/server";
import { inWords } from "../src/ProblemNote.tsx";
import { ProblemError } from "../src/problem.ts";
import { QrCode } from "../src/QrCode.tsx";
import { StatusBadge } from "../src/StatusBadge.tsx";
import type { Connection } from "../src/types.ts";

const PNG = "data:image/png;base64,iVBORw0KGgo=";

test("a QR code is an image with its link as text", () => {
  const code = { link: "https://ig.me/m/acme", qrPng: PNG, qrSvg: "<svg><script>1</script></svg>" };
  const html = renderToStaticMarkup(<QrCode code={code} label="Write to us" />);
  assert.ok(html.includes(`src="${PNG}"`) && html.includes('alt="QR code of https://ig.me/m/acme"'), html);
  assert.ok(!html.includes("<svg"), "the SVG must not become part of the page");
});

test("an external image is not loaded", () => {
  const code = { link: "https://ig.me/m/acme", qrPng: "https://evil.example/x.png", qrSvg: "" };
  const html = renderToStaticMarkup(<QrCode code={code} label="Write to us" />);
  assert.ok(!html.includes("evil.example") && html.includes("https://ig.me/m/acme"), html);
});

function badge(connection: Partial<Connection>, tokenDaysLeft?: number): string {
  const whole = { status: "connected" as const, statusReason: null, botPaused: false, ...connection };
  return renderToStaticMarkup(<StatusBadge connection={whole} tokenDaysLeft={tokenDaysLeft} />);
}

test("a badge shows the state, its reason, and what to do", () => {
  assert.match(badge({}), /data-tone="good">Connected</);
  const lost = badge({ status: "reauth_required", statusReason: "the token <b>expired</b>" });
  assert.match(lost, /data-tone="bad">Access lost<.*&lt;b&gt;expired.*connect again/);
  assert.match(badge({ botPaused: true }), /data-tone="busy">Bot paused</);
});

test("a token is a problem only shortly before it expires", () => {
  assert.match(badge({}, 3), /3 days left/);
  assert.match(badge({}, -2), /0 days left/);
  assert.doesNotMatch(badge({}, 40), /days left/);
});

test("a state of a later version is shown as it is", () => {
  assert.match(badge({ status: "resting" as Connection["status"] }), /data-tone="off">resting</);
});

test("a problem is described by its type", () => {
  const problem = { type: "urn:dmrelay:problem:window-closed", title: "title", status: 422 };
  assert.match(inWords(new ProblemError(problem)), /must write first/);
  const other = { type: "urn:dmrelay:problem:something-new", title: "Title", status: 422, detail: "detail" };
  assert.equal(inWords(new ProblemError(other)), "Title: detail");
  assert.match(inWords(new TypeError("fetch failed")), /cannot be reached/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToStaticMarkup } from "react-dom/server";
import { comeBack, Outcome, PageList } from "../src/ConnectButton.tsx";
import { inWords } from "../src/ProblemNote.tsx";
import { type Connection, type ConnectSession, ProblemError } from "dmrelay-client";
import { QrCode } from "../src/QrCode.tsx";
import { StatusBadge } from "../src/StatusBadge.tsx";

test("a QR code is an image with its link as text", () => {
  const image = "https://relay.example.com/qr-code/1?link=direct_message";
  const html = renderToStaticMarkup(<QrCode link="https://ig.me/m/acme" label="Write to us" image={image} />);
  assert.ok(html.includes(`src="${image}"`) && html.includes('alt="QR code of https://ig.me/m/acme"'), html);
  assert.ok(html.includes('href="https://ig.me/m/acme"') && html.includes("&amp;format=png"), html);
});

function session(some: Partial<ConnectSession>): ConnectSession {
  const ended = { error: null, errorDetail: null, connectionId: null, pages: [], createdAt: null, expiresAt: null };
  return { sessionId: "1", status: "failed", loginKind: "facebook", ...ended, ...some };
}

test("who comes back from Meta keeps the rest of the address", () => {
  const { id, rest } = comeBack("https://app.example.com/a?tab=dm&connectSession=7&connectStatus=failed&connectError=x#top");
  assert.deepEqual([id, rest], ["7", "https://app.example.com/a?tab=dm#top"]);
  assert.equal(comeBack("https://app.example.com/a").id, undefined);
});

test("a login that failed says what to do, or what the API says", () => {
  const outcome = (some: Partial<ConnectSession>): string => renderToStaticMarkup(<Outcome session={session(some)} />);
  assert.match(outcome({ error: "missing-permission" }), /leave everything ticked/);
  assert.match(outcome({ error: "something-new" as never, errorDetail: "<b>odd</b>" }), /&lt;b&gt;odd/);
  assert.match(outcome({ status: "expired" }), /too long/);
  assert.equal(outcome({ status: "cancelled" }), "");
});

test("a person with several Pages chooses one", () => {
  const page = { pageId: "1", name: "Acme", instagramAccountId: "2", username: "acme" };
  const choice = session({ status: "choose_page", pages: [page, { ...page, pageId: "3", name: null, username: null }] });
  const html = renderToStaticMarkup(<PageList session={choice} busy={false} error={undefined} onChoose={() => {}} />);
  assert.match(html, /<button>Acme \(@acme\)<\/button><button>3/);
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

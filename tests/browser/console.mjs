// A person at the console: argv[2] is JSON with the address, an API key, the control address of the simulator, the account, and two
// customers of whom the first has written. It prints what was seen as JSON; whatever is not as it should be ends it with an error. With
// CONSOLE_PICTURES it leaves pictures in that folder.

import assert from "node:assert/strict";
import axe from "axe-core";
import { launch } from "./chromium.mjs";

const pictures = process.env.CONSOLE_PICTURES;
const { url, key, control, account, ada, bob } = JSON.parse(process.argv[2]);
const browser = await launch();
// Days begin where the reader is, and that is not where the server is.
const timezoneId = new Date().getUTCHours() < 12 ? "Etc/GMT+12" : "Etc/GMT-14";
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB", timezoneId });
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const complaints = [];
page.on("console", (message) => {
  const { url: at } = message.location();
  // The pages of the simulator have no icon.
  if (message.type() === "error" && (at.startsWith(url) || !at.endsWith("/favicon.ico"))) complaints.push(`${message.text()} ${at}`);
});
page.on("pageerror", (error) => complaints.push(error.message));

const says = async (user, text) => {
  const body = JSON.stringify({ account, user, action: { kind: "text", text } });
  const response = await fetch(`${control}/act`, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.equal(response.status, 200, await response.text());
};
const faulty = async (fault) => {
  const body = JSON.stringify({ service: "retell", ...fault });
  const response = await fetch(`${control}/faults`, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.ok(response.ok, await response.text());
};
const seen = (text) => page.locator("#messages .bubble", { hasText: text }).first().waitFor();
const picture = (name) => pictures && page.screenshot({ path: `${pictures}/${name}.png` });

/** What stands in the way of people with a disability: nothing serious. */
async function check(where) {
  // The policy of the pages forbids injected scripts: axe runs in the context of the test.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(told, [], where);
}

// Whoever is not signed in signs in first, and comes to where they wanted.
await page.goto(`${url}/console/inbox?folder=unanswered`);
await page.getByRole("heading", { name: "Sign in to dmrelay" }).waitFor();
await check("sign in");
await page.getByLabel("Your name").fill("Anna Berg");
await page.getByLabel("API key").fill("dmr_wrong");
await page.getByRole("button", { name: "Sign in" }).click();
await page.getByRole("alert").waitFor();
await page.getByLabel("API key").fill(key);
await page.getByText("I use the operator's bootstrap key").click();
await page.getByLabel("Subaccount").fill("acme");
await page.getByRole("button", { name: "Sign in" }).click();
await page.waitForURL("**/console/inbox?folder=unanswered");
complaints.length = 0; // the refused key was answered with 401

// A message arrives live, and is answered; so does a new customer in the list.
await page.goto(`${url}/console/inbox`);
await page.locator(".row").first().click();
await page.locator("#messages .bubble").first().waitFor();
await says(ada, "Is <b>this</b> live?");
await seen("Is <b>this</b> live?");
await seen("Answer to: Is <b>this</b> live?");
assert.deepEqual(await page.locator("#messages .day").allInnerTexts(), ["Today"]);
await says(bob, "I am new here");
await page.locator(".row", { hasText: "I am new here" }).waitFor();
await check("inbox");
await picture("console-inbox");

// Taking over, writing, giving back.
await page.getByRole("button", { name: "Take over 12 h" }).click();
await page.locator("#head .pill.human").waitFor();
await page.locator("#text").fill("Anna here.\nI look into it.");
assert.equal(await page.locator("#send").isEnabled(), true);
await page.keyboard.press("Enter");
await seen("Anna here.");
await page.locator("#messages .bubble.colleague.is-sent").waitFor();
assert.match(await page.locator("#messages .bubble.colleague .by").first().innerText(), /Anna Berg/);
assert.equal(await page.locator("#messages .bubble.colleague").count(), 1);
assert.equal(await page.locator("#hint .silences").isVisible(), false);
await check("a conversation of a colleague");
await page.getByRole("button", { name: "Give back to the bot" }).click();
await page.locator("#head .pill.bot").waitFor();
await page.locator("#messages .line", { hasText: "The bot answers again" }).waitFor();

// What colleagues should know: a tag and a note. They see it at once.
const colleague = await context.newPage();
await colleague.goto(page.url());
await page.getByLabel("Add a tag").fill("vip");
await page.keyboard.press("Enter");
await colleague.locator(".panel .tag", { hasText: "vip" }).waitFor();
// What is being written stays, whatever arrives meanwhile.
await page.getByLabel("A note for colleagues").fill("Asked twice");
await colleague.getByLabel("Add a tag").fill("returns");
await colleague.keyboard.press("Enter");
await page.locator(".panel .tag", { hasText: "returns" }).waitFor();
assert.equal(await page.getByLabel("A note for colleagues").inputValue(), "Asked twice");
await page.getByRole("button", { name: "Add note" }).click();
await page.locator(".notes li", { hasText: "Asked twice" }).waitFor();
assert.equal(await page.getByLabel("A note for colleagues").inputValue(), "");
await colleague.locator(".notes li", { hasText: "Asked twice" }).waitFor();
await colleague.close();

// How a message went.
await page.locator("#messages .bubble.bot .meta a").last().click();
await page.locator("dialog[open] li", { hasText: "Accepted by Instagram" }).waitFor();
await check("trace");
await picture("console-trace");
await page.keyboard.press("Escape");
await page.locator("dialog[open]").waitFor({ state: "detached" });

// What failed is told in the conversation, and replayed.
await faulty({ operation: "completion", mode: "before", status: 400 });
await says(ada, "Where is my order?");
await page.locator("#messages .letter").waitFor();
await page.getByRole("link", { name: "Failed", exact: true }).first().click();
await page.locator(".letter").waitFor();
await check("failed");
await picture("console-failed");
await page.getByRole("link", { name: /^1 / }).click();
await page.getByLabel(/All matching/).check();
await page.getByRole("button", { name: "What would happen?" }).click();
await page.getByText("1 would be replayed.").waitFor();
// Another one comes while one looks; it is selected, and discarded.
await faulty({ operation: "completion", mode: "before", status: 400 });
await says(bob, "Where is mine?");
await page.locator(".letter").nth(1).waitFor();
await page.getByLabel(/All matching/).uncheck();
await page.getByLabel(/^Select: /).first().check();
await page.getByRole("button", { name: "Discard selected" }).click();
await page.getByRole("button", { name: "Yes" }).click();
await page.getByText("1 discarded.").waitFor();
await page.getByText("Discarded by Anna Berg").waitFor();
await page.locator(".letter").getByRole("button", { name: "Replay", exact: true }).click();
await page.getByText("Replayed by Anna Berg").waitFor();
await page.goto(`${url}/console/inbox?folder=failed`);
await page.getByText("Nothing has failed.").waitFor();
await page.goto(`${url}/console/inbox`);
await page.locator(".row", { hasText: "0001" }).click();
await page.locator("#messages .bubble.bot", { hasText: "Where is my order?" }).waitFor();

// Accounts: QR codes, and a login at Meta that ends here.
await page.getByRole("link", { name: "Accounts" }).click();
await page.getByRole("button", { name: "Check now" }).click();
await page.locator(".card .check").first().waitFor();
const drawn = await page.locator(".card img").evaluateAll(async (all) => {
  for (const one of all) one.loading = "eager";
  await Promise.all(all.map((one) => one.decode()));
  return all.map((one) => one.naturalWidth > 0);
});
assert.deepEqual(drawn, [true, true]);
await check("accounts");
await picture("console-accounts");
await page.getByRole("button", { name: "Log in with Instagram" }).click();
await page.locator("button[value=allow]").click();
await page.getByText("The account is connected.").waitFor();
await page.getByRole("button", { name: "Pause the bot" }).click();
await page.locator(".card .pill.paused").waitFor();
await page.getByRole("button", { name: "Let the bot answer" }).click();
await page.getByRole("button", { name: "Pause the bot" }).waitFor();
// How it goes, and what happened, as it happens.
await page.getByRole("link", { name: "Overview" }).click();
await page.locator(".chart rect").first().waitFor();
await page.getByRole("link", { name: "Day" }).click();
await page.waitForURL("**/overview?range=day");
await page.locator(".chart rect").first().waitFor();
await check("overview");
await picture("console-overview");
await page.getByRole("link", { name: "Activity" }).click();
await page.locator(".activities li").first().waitFor();
const first = await page.locator(".activities li").first().getAttribute("id");
await says(bob, "What is new?");
await page.waitForFunction((id) => document.querySelector(".activities li")?.id !== id, first);
await check("activity");
await picture("console-activity");

// A key is shown once, and revoked.
await page.getByRole("link", { name: "Keys" }).click();
await page.getByLabel("Name").fill("backend");
await page.getByRole("button", { name: "Create" }).click();
await page.locator("#new-key code", { hasText: "dmr_" }).waitFor();
await check("keys");
await picture("console-keys");
await page.getByRole("button", { name: "Revoke backend" }).click();
await page.getByRole("button", { name: "Yes" }).click();
await page.locator("#keys .pill.failed").waitFor();
await page.getByRole("link", { name: "Inbox" }).click();
await page.locator(".row", { hasText: "0001" }).click();
await page.locator("#messages .bubble").first().waitFor();

// What could not be sent survives a reload, and goes once when it is tried again.
await page.route("**/send", (route) => route.abort());
await page.locator("#text").fill("Sent through a tunnel");
await page.keyboard.press("Enter");
await page.getByRole("button", { name: "Try again" }).waitFor();
await page.unroute("**/send");
await page.reload();
await page.getByRole("button", { name: "Try again" }).click();
await page.locator("#messages .bubble.colleague.is-sent", { hasText: "Sent through a tunnel" }).waitFor();
await page.reload();
assert.equal(await page.locator("#messages .bubble", { hasText: "Sent through a tunnel" }).count(), 1);
complaints.splice(0, complaints.length, ...complaints.filter((one) => !one.includes("ERR_FAILED")));

// Too long is said before it is sent; a draft stays with its conversation.
await page.locator("#text").fill("ä".repeat(501));
assert.equal(await page.locator("#bytes").innerText(), "1002 of 1000 bytes");
assert.equal(await page.locator("#send").isEnabled(), false);
await page.locator("#text").fill("a draft");
await page.keyboard.press("Escape");
await page.keyboard.press("j");
await page.keyboard.press("Enter");

await page.waitForFunction((ada) => !document.querySelector(".panel")?.textContent.includes(ada), ada);
await page.goBack();
await page.waitForFunction(() => document.querySelector("#text")?.value === "a draft");

// Ctrl-K leads to any page.
await page.keyboard.press("Control+k");
await page.getByRole("textbox", { name: "Go to" }).fill("accou");
await check("palette");
await page.keyboard.press("Enter");
await page.waitForURL("**/console/accounts");
await page.goBack();
await page.locator("#messages .bubble").first().waitFor();

// Who is cut off sees it, and who is back again, too.
await page.route("**/console/live*", (route) => route.abort());
await page.reload();
await page.getByText("Connection lost").waitFor();
await page.unroute("**/console/live*");
await page.getByText("Connection lost").waitFor({ state: "hidden" });

// Whoever is signed out meanwhile signs in beside the page: what was typed goes out.
await page.locator("#text").fill("Typed before");
const beside = await context.newPage();
await beside.goto(`${url}/console/inbox`);
await beside.getByRole("button", { name: "Sign out" }).click();
await beside.getByRole("heading", { name: "Sign in to dmrelay" }).waitFor();
// Whoever comes back to the page has read it, which is the next call.
await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
await page.getByText("You are signed out.").waitFor();
await beside.getByLabel("Your name").fill("Anna Berg");
await beside.getByLabel("API key").fill(key);
await beside.getByText("I use the operator's bootstrap key").click();
await beside.getByLabel("Subaccount").fill("acme");
await beside.getByRole("button", { name: "Sign in" }).click();
await beside.locator(".row").first().waitFor();
await beside.close();
await page.locator("dialog[open]").waitFor({ state: "detached" });
await page.locator("#text").press("Enter");
await page.locator("#messages .bubble.colleague.is-sent", { hasText: "Typed before" }).waitFor();
// What was refused meanwhile was sent again.
complaints.splice(0, complaints.length, ...complaints.filter((one) => !/ERR_FAILED|401|403/.test(one)));

// A dialog has an address: it is open after a reload, too.
await page.locator("#messages .bubble.bot .meta a").last().click();
await page.locator("dialog[open]").waitFor();
await page.reload();
await page.locator("dialog[open] li", { hasText: "Stored" }).waitFor();
await page.keyboard.press("Escape");
await page.waitForURL((address) => !address.search.includes("show="));

// A script in a message is text.
assert.equal(await page.locator("#messages b").count(), 0);

// Dark, and on a phone.
await page.emulateMedia({ colorScheme: "dark" });
await check("dark");
await picture("console-dark");
await page.setViewportSize({ width: 390, height: 844 });
await check("mobile");
assert.equal(await page.locator(".list").isVisible(), false);
const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
const wide = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > innerWidth).map((it) => it.outerHTML.slice(0, 80)));
assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide: ${wide.join(" ")}`);
await picture("console-mobile");
// What stands over the conversation goes first, by its button or by Esc.
for (const close of [() => page.locator(".panel .close").click(), () => page.keyboard.press("Escape")]) {
  await page.getByLabel("About the customer").click();
  await page.locator(".panel").waitFor();
  await close();
  await page.locator(".panel").waitFor({ state: "hidden" });
  assert.equal(await page.locator("#thread").isVisible(), true);
}
const conversation = page.url();
for (const name of ["overview", "keys", "accounts", "failed"]) {
  await page.goto(`${url}/console/${name}`);
  await check(`${name} on a phone`);
}
await page.goto(conversation);
await page.getByLabel("Back to the list").click();
await page.locator(".row").first().waitFor();
assert.equal(await page.locator(".conversation").isVisible(), false);

// Signing out ends the session.
await page.setViewportSize({ width: 1440, height: 900 });
await page.getByRole("button", { name: "Sign out" }).click();
await page.getByRole("heading", { name: "Sign in to dmrelay" }).waitFor();
await page.goto(`${url}/console/inbox`);
await page.getByRole("heading", { name: "Sign in to dmrelay" }).waitFor();

console.log(JSON.stringify({ complaints }));
await browser.close();

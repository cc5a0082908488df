// A newcomer at the console of the quick start: argv[2] is JSON with the link that it prints. They play the customer on the phone, let
// things go wrong and hours go by, and set up the account. It prints how long live messages took, in milliseconds; whatever is not as
// it should be ends it with an error. With CONSOLE_PICTURES it leaves pictures in that folder.

import assert from "node:assert/strict";
import axe from "axe-core";
import { launch } from "./chromium.mjs";

const pictures = process.env.CONSOLE_PICTURES;
const { link } = JSON.parse(process.argv[2]);
const origin = new URL(link).origin;
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB" });
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(`${message.text()} ${message.location().url}`));
page.on("pageerror", (error) => complaints.push(error.message));
const picture = (name) => pictures && page.screenshot({ path: `${pictures}/${name}.png` });

/** What stands in the way of people with a disability: nothing serious. */
async function check(where) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), [], where);
}

// The link signs in, and shows the inbox beside the customer's phone.
await page.goto(link);
await page.waitForURL("**/console/inbox");
const phone = page.locator("#phone");
await phone.waitFor();
const say = async (text) => {
  await page.locator("#phone-text").fill(text);
  await page.locator("#phone-text").press("Enter");
};
await say("When are you open?");
await page.locator("#phone-messages li:not(.mine)").first().waitFor();

// A row that changes while it is being pressed is clicked all the same.
await page.evaluate(async () => {
  const stream = new EventSource(`${document.body.dataset.live}?folder=all`);
  globalThis.told = new Promise((done) =>
    stream.addEventListener("fragments", ({ data }) => {
      if (!data.includes("And on Sundays?")) return;
      stream.close();
      // The page's own stream is told at the same time.
      setTimeout(done, 200);
    }),
  );
  await new Promise((open) => stream.addEventListener("open", open));
});
await page.locator(".row").first().hover();
await page.mouse.down();
await say("And on Sundays?");
await page.evaluate(() => globalThis.told);
await page.mouse.up();
await page.waitForURL("**chat=*");
await page.locator("#messages .bubble", { hasText: "When are you open?" }).waitFor();

// A live message is there within a moment of its commit: from its row's time to the page.
const chat = new URL(page.url()).searchParams.get("chat");
await page.evaluate(() => {
  globalThis.came = {};
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        const isNew = node instanceof HTMLElement && node.classList.contains("customer") && node.textContent.includes("Question ");
        // What was there before may be told anew.
        if (isNew) globalThis.came[node.id] ??= Date.now();
      }
    }
  }).observe(document.getElementById("messages"), { childList: true, subtree: true });
});
const lately = [];
for (let n = 1; n <= 8; n += 1) {
  await say(`Question ${n}`);
  await page.locator("#messages .bubble.customer", { hasText: `Question ${n}` }).waitFor();
  await page.locator("#messages .bubble.bot").nth(n).waitFor();
}
const came = await page.evaluate(() => globalThis.came);
const rows = await page.evaluate(() =>
  Object.fromEntries([...document.querySelectorAll("#messages .bubble.customer")].map((one) => [one.id, one.dataset.at])),
);
for (const [id, at] of Object.entries(came)) lately.push(at - Date.parse(rows[id]));
assert.equal(lately.length, 8);
lately.sort((one, other) => one - other);

// Deeds and faults at a click.
await page.getByRole("button", { name: "Send a photo" }).click();
const photo = page.locator("#messages .bubble.customer img");
await photo.waitFor();
await page.waitForFunction(() => {
  const image = document.querySelector("#messages .bubble.customer img");
  return image instanceof HTMLImageElement && image.complete && image.naturalWidth > 0;
});
await page.getByRole("button", { name: "Send a voice message" }).click();
await page.locator("#messages .bubble.customer audio").waitFor();
// The page learns what it says, and the shop answers that.
await page.locator("#messages .bubble.customer .words", { hasText: "Do you ship to Norway?" }).waitFor();
await page.locator("#messages .bubble.bot", { hasText: "We ship to all of Europe" }).waitFor();
await page.getByRole("button", { name: "webhooks come twice" }).click();
await page.getByRole("button", { name: "webhooks come twice", pressed: true }).waitFor();
await say("Only once, please");
await page.locator("#messages .bubble", { hasText: "Only once, please" }).waitFor();
await page.getByRole("button", { name: "webhooks come twice" }).click();
await check("demo");
await picture("console-demo");

// A takeover is over, and the window closed, once hours have gone by.
await page.getByRole("button", { name: "Take over 12 h" }).first().click();
await page.getByRole("button", { name: "Give back" }).waitFor();
await page.locator("#text").waitFor();
await page.getByRole("button", { name: "25 hours" }).click();
await page.locator("#composer", { hasText: "24-hour reply window has closed" }).waitFor();
await page.locator("#messages .line", { hasText: "The bot answers again · system" }).waitFor();
// What was then is told as it was then, although the page's stream tells it anew.
await page.locator("#messages .line", { hasText: "The bot is silent · You" }).waitFor();
assert.equal(await page.locator("#messages .line").count(), 2);
await picture("console-closed");

// Notifications.
await page.goto(`${origin}/console/notifications`);
await page.getByRole("heading", { name: "Notifications", exact: true }).waitFor();
await page.getByLabel("URL or e-mail address").fill("https://hooks.example.com/dmrelay");
await page.getByLabel("Name").fill("Operations");
await page.getByLabel("Calls are suspended").check();
await page.getByRole("button", { name: "Add" }).click();
await page.locator("#new-secret code").waitFor();
await page.locator("#targets", { hasText: "Operations" }).waitFor();
await page.getByRole("button", { name: "Send a test: Operations" }).click();
await page.locator("#targets", { hasText: "a test" }).waitFor();
await check("notifications");
await picture("console-notifications");

// Ice breakers and menu, another agent, and codes for the printer.
await page.goto(`${origin}/console/accounts`);
await page.getByRole("link", { name: "Ice breakers and menu" }).click();
const dialog = page.getByRole("dialog");
await dialog.getByRole("textbox").first().fill("When are you open? = HOURS");
await dialog.getByRole("button", { name: "Save" }).click();
await dialog.getByText("Saved.").waitFor();
await check("profile");
await page.keyboard.press("Escape");
await page.getByText("Another agent").click();
await page.getByLabel("Agent that answers from now on").fill("agent_other");
await page.getByRole("button", { name: "Change agent" }).click();
await page.locator(".card dd.code", { hasText: "agent_other" }).waitFor();
await page.getByRole("link", { name: "QR codes to print" }).click();
await page.locator(".print img").first().waitFor();
assert.ok(await page.locator(".print img").first().evaluate((image) => image.complete && image.naturalWidth > 0));
await check("codes");
await picture("console-codes");

console.log(JSON.stringify({ complaints, lately, chat }));
await browser.close();

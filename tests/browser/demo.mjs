// A newcomer at the console of the quick start: argv[2] is JSON with the link that it prints. They play the customer on the phone, let
// things go wrong and hours go by, and set up the account. It prints how long live messages took, in milliseconds; whatever is not as
// it should be ends it with an error. With CONSOLE_PICTURES it leaves pictures in that folder.

import assert from "node:assert/strict";
import axe from "axe-core";
import { launch } from "./chromium.mjs";

const pictures = process.env.CONSOLE_PICTURES;
const vase = new URL("../../crates/simulator/assets/vase.png", import.meta.url).pathname;
const { link, docs } = JSON.parse(process.argv[2]);
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

// The phone shows what was sent, too.
await page.locator("#phone-messages li.mine img").waitFor();

// A file, a reply to a message, and a reaction.
await page.locator("#file").setInputFiles(vase);
await page.getByRole("button", { name: "Yes" }).click();
await page.waitForFunction(() => {
  const image = document.querySelector("#messages .bubble.colleague img");
  return image instanceof HTMLImageElement && image.complete && image.naturalWidth > 0;
});
const asked = page.locator("#messages .bubble.customer", { hasText: "When are you open?" });
await asked.hover();
await asked.getByRole("button", { name: "Reply to this message" }).click();
await page.locator("#replying", { hasText: "When are you open?" }).waitFor();
await page.locator("#text").fill("From nine to six");
await page.locator("#text").press("Enter");
await page.locator("#messages .bubble.colleague", { hasText: "In reply to an earlier message" }).waitFor();
assert.equal(await page.locator("#replying").isVisible(), false);
await asked.hover();
await asked.getByRole("button", { name: "React with a heart" }).click();
await asked.locator(".reaction", { hasText: "❤" }).waitFor();
await page.getByRole("button", { name: "Give back" }).click();
await page.locator("#head", { hasText: "Bot answers" }).waitFor();

// A saved message, seen while it is written, and written anew.
await page.goto(`${origin}/console/templates`);
await page.getByLabel("Name", { exact: true }).fill("Glaze");
await page.locator("textarea[name=text]").fill("Which glaze do you like, {{name}}?");
await page.getByText("Quick replies, a picture, cards").click();
await page.getByLabel("Quick replies, one a line").fill("Blue = GLAZE_BLUE\nGreen = GLAZE_GREEN");
await page.locator("#preview .chips", { hasText: "Green" }).waitFor();
await page.getByRole("button", { name: "Save" }).click();
await page.locator("#templates .card", { hasText: "Glaze" }).waitFor();
await page.getByRole("link", { name: "Change: Glaze" }).click();
await page.locator("textarea[name=text]").fill("");
await page.locator("#preview .faults").waitFor();
await page.locator("textarea[name=text]").fill("Which glaze do you like?");
await page.locator("#preview", { hasText: "Which glaze do you like?" }).waitFor();
await page.getByRole("button", { name: "Save" }).click();
await page.locator("#templates", { hasText: "version 2" }).waitFor();
await picture("console-templates");
await check("templates");

// It goes to everybody: counted before, and watched.
await page.goto(`${origin}/console/broadcasts`);
await page.getByLabel("Name", { exact: true }).fill("New glazes");
await page.locator("select[name=template]").selectOption({ label: "Glaze" });
await page.getByRole("button", { name: "Count customers" }).click();
await page.locator("#reach", { hasText: "1 of 1 customers would get it now" }).waitFor();
assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "New glazes");
await page.getByRole("button", { name: "Send", exact: true }).click();
await page.getByRole("button", { name: "Yes" }).click();
await page.locator("#broadcasts", { hasText: "1 of 1 sent" }).waitFor();
await picture("console-broadcasts");
await check("broadcasts");

// The customer taps what it offers.
await page.goto(`${origin}/console/inbox?folder=all&chat=${chat}`);
await page.locator("#messages .bubble.bot", { hasText: "Which glaze do you like?" }).waitFor();
await page.locator("#phone").getByRole("button", { name: "Green" }).click();
await page.locator("#messages .bubble.customer", { hasText: "Green" }).waitFor();
await picture("console-taps");

// A rule answers comments; a colleague answers one for all, and hides it.
await page.goto(`${origin}/console/accounts`);
await page.getByRole("link", { name: "Rules" }).first().click();
const rules = page.getByRole("dialog");
await rules.getByLabel("Keywords, one per line; empty for any comment").first().fill("how much");
await rules.getByLabel("use").first().check();
const comments = rules.getByRole("group", { name: "Comments on your posts" });
await comments.getByLabel("What happens").first().selectOption("send");
await comments.getByLabel("Text to send").first().fill("It is 65. Shall we put one aside?");
await rules.getByRole("button", { name: "Save" }).click();
await rules.getByText("Saved.").waitFor();
assert.equal(await rules.getByLabel("Keywords, one per line; empty for any comment").first().inputValue(), "how much");
assert.ok(await rules.getByLabel("use").first().isChecked(), "what was saved is shown as saved");
await picture("console-rules");
await check("rules");
await page.goto(`${origin}/console/inbox`);
await page.getByRole("button", { name: "Comment on a post" }).click();
await page.goto(`${origin}/console/comments`);
const comment = page.locator(".comment", { hasText: "How much is the large vase?" });
await comment.waitFor();
await comment.locator(".bubble", { hasText: "It is 65." }).waitFor();
await comment.getByText("Reply publicly").first().click();
await comment.getByLabel("Everybody sees").fill("You have a message.");
await comment.getByRole("button", { name: "Reply publicly" }).click();
await comment.getByText("Answered publicly.").waitFor();
await comment.getByRole("button", { name: "Hide" }).click();
await page.getByRole("button", { name: "Yes" }).click();
await comment.locator(".pill", { hasText: "hidden" }).waitFor();
await picture("console-comments");
await check("comments");
await page.goto(`${origin}/console/inbox?folder=all&chat=${chat}`);

// A takeover is over, and the window closed, once hours have gone by.
await page.getByRole("button", { name: "Take over 12 h" }).first().click();
await page.getByRole("button", { name: "Give back" }).waitFor();
await page.locator("#text").waitFor();
await page.getByRole("button", { name: "25 hours" }).click();
await page.locator("#composer", { hasText: "24-hour reply window closed" }).waitFor();
await page.locator("#messages .line", { hasText: "The bot answers again · dmrelay" }).waitFor();
// What was then is told as it was then, although the page's stream tells it anew.
await page.locator("#messages .line", { hasText: "The bot is silent · You" }).last().waitFor();
// Two takeovers, and the end of each: what the rule sent to whoever commented is none.
const lines = await page.locator("#messages .line").allTextContents();
assert.equal(lines.length, 4, lines.join("\n"));
await picture("console-closed");

// Who asks for a person gets one: the shop's agent hands over, and the conversation waits for a human.
await page.goto(`${origin}/console/inbox`);
await say("I want to talk to a person");
await page.locator(".row .pill.need", { hasText: "Handed over to you" }).waitFor();
await page.goto(`${origin}/console/inbox?folder=needs_human`);
await page.locator(".row").first().waitFor();

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

// In a window of a laptop the phone is a drawer.
await page.setViewportSize({ width: 1200, height: 800 });
await page.goto(`${origin}/console/inbox`);
assert.equal(await phone.isVisible(), false);
await page.getByRole("button", { name: "You as a customer" }).click();
await phone.waitFor();

// Events as an integrator gets them.
await page.setViewportSize({ width: 1440, height: 900 });
await page.goto(`${origin}/console/activity?group=events`);
const second = await context.newPage();
await second.goto(`${origin}/console/inbox`);
await second.locator("#phone-text").fill("Is anybody there?");
await second.locator("#phone-text").press("Enter");
await page.locator("#events li", { hasText: "message.received" }).first().waitFor();
await check("events");

// The page of the API keeps the key of its link.
await second.goto(docs);
await second.waitForFunction(() => localStorage.getItem("authorized")?.includes("dmr_"));
await second.close();

console.log(JSON.stringify({ complaints, lately, chat }));
await browser.close();

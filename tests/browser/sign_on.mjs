// A person who signs in to the console at an identity provider: argv[2] is JSON with the console's address, and what the provider is
// called. Whatever is not as it should be ends it with an error.

import assert from "node:assert/strict";
import { launch } from "./chromium.mjs";

const { url, provider } = JSON.parse(process.argv[2]);
const browser = await launch();
const page = await (await browser.newContext()).newPage();
page.setDefaultTimeout(15_000);
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
await page.goto(`${url}/console/failed`);
await page.getByRole("button", { name: `Sign in with ${provider}` }).or(page.getByRole("link", { name: `Sign in with ${provider}` })).click();
await page.getByRole("link", { name: "Log in as Ada" }).click();
await page.waitForURL("**/console/failed");
await page.getByRole("banner").getByText("Ada Byron").waitFor();
// The session is in a cookie that scripts cannot read, and goes with the sign-out.
assert.equal(await page.evaluate(() => document.cookie), "");
await page.getByRole("button", { name: "Sign out" }).click();
await page.getByRole("heading", { name: "Sign in to dmrelay" }).waitFor();
console.log(JSON.stringify({ complaints }));
await browser.close();

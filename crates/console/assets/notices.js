// What a page says and asks in the middle of its work: notices, questions, and that somebody must sign in again.
// @ts-check
import { page } from "./words.js";

/** @param {string} tag @param {string} className @param {string} [text] @param {Element[]} children */
const element = (tag, className, text = "", ...children) => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  made.append(...children);
  return made;
};

/** @param {string | undefined} text @param {string} [className] */
const button = (text, className = "") => /** @type {HTMLButtonElement} */ (element("button", className, text));

/** Says that something went wrong, until it is closed. @param {unknown} what */
export const say = (what) => {
  const list = document.getElementById("notices");
  if (!list) return;
  const close = button("✕", "quiet");
  close.ariaLabel = page.close ?? "";
  const notice = element("p", "notice", what instanceof Error ? what.message : String(what), close);
  notice.role = "alert";
  close.addEventListener("click", () => notice.remove());
  // Above an open dialog, which covers everything else.
  (document.querySelector("dialog[open]") ?? list).append(notice);
};

/** Whether somebody is sure. @param {string} question @returns {Promise<boolean>} */
export const sure = (question) =>
  new Promise((answer) => {
    const no = button(page.cancel);
    const yes = button(page.ok, "take");
    yes.value = "yes";
    const form = /** @type {HTMLFormElement} */ (element("form", "acts", "", no, yes));
    form.method = "dialog";
    const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "ask", "", element("p", "", question), form));
    dialog.ariaLabel = question;
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });

/** The one question that stands, however many calls wait for it. @type {Promise<void> | null} */
let entering = null;

/** Resolves when somebody has signed in again, elsewhere: what was typed here stays. */
export const signedIn = () => (entering ??= enter().finally(() => (entering = null)));

/** What forms of the session carry that there is now; none if nobody is signed in. @returns {Promise<string | undefined>} */
export const token = async () => {
  const response = await fetch("/console/whoami", { headers: { "x-fragment": "1" } }).catch(() => null);
  if (!response?.ok) return;
  const { csrf, name, subaccount } = await response.json();
  const { dataset } = document.body;
  // Somebody else has signed in: this page is not theirs.
  if (name !== dataset.name || subaccount !== dataset.subaccount) return void location.assign("/console/inbox");
  dataset.csrf = csrf;
  for (const field of document.querySelectorAll("input[name=csrf]")) if (field instanceof HTMLInputElement) field.value = csrf;
  return csrf;
};

const enter = () =>
  /** @type {Promise<void>} */ (
    new Promise((done) => {
      const link = /** @type {HTMLAnchorElement} */ (element("a", "button", page.signIn));
      link.href = "/console/sign-in";
      link.target = "_blank";
      const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "ask", "", element("p", "", page.signedOut), link));
      dialog.ariaLabel = page.signedOut ?? "";
      // Until somebody has signed in there is nothing else to do.
      dialog.addEventListener("close", () => dialog.isConnected && dialog.showModal());
      document.body.append(dialog);
      dialog.showModal();
      const look = async () => {
        if (!(await token())) return;
        clearInterval(looking);
        removeEventListener("focus", look);
        dialog.remove();
        done();
      };
      const looking = setInterval(look, 3000);
      addEventListener("focus", look);
    })
  );

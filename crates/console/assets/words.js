// What scripts say comes with the page, in data attributes: with {} where a value goes.
// @ts-check

/** What scripts say on any page. */
export const page = document.documentElement.dataset;

/** Puts values in the places of {}. @param {string | undefined} text @param {(string | number)[]} values */
export const fill = (text = "", ...values) => text.replaceAll("{}", () => String(values.shift() ?? ""));

/** What is around a click. @param {Event} event @param {string} selector */
export const near = ({ target }, selector) => (target instanceof Element ? target.closest(selector) : null);

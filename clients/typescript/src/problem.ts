// Errors of the API: problem documents (RFC 9457).

import type { components } from "./api.ts";

/** An error response of the API: told apart by `code`, by which it has further members. */
export type Problem = components["schemas"]["Problem"];

/** What a proxy answered. */
export interface ForeignProblem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  code?: undefined;
}

export type ProblemDocument = Problem | ForeignProblem;

const TYPES = "urn:dmrelay:problem:";

// region: problem
/** A problem document as an exception. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: ProblemDocument;
  /** The delay of `Retry-After`, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(problem: ProblemDocument, retryAfter?: number) {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** The stable word, e.g. `window-closed`. */
  get word(): string {
    const { type } = this.problem;
    return type.startsWith(TYPES) ? type.slice(TYPES.length) : type;
  }

  /** What is wrong with a field of the body (`/accessToken`) or with a parameter (`limit`). */
  at(place: string): string | undefined {
    if (this.problem.code !== "invalid-request") return undefined;
    return this.problem.errors.find((error) => (error.pointer ?? error.parameter) === place)?.detail;
  }
}
// endregion

/** The problem of a response. A proxy's error page becomes one too, so that callers handle only one kind. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const retryAfter = retryAfterOf(response.headers.get("Retry-After"));
  const text = await response.text().catch(() => "");
  try {
    const body: unknown = JSON.parse(text);
    if (isProblem(body)) return new ProblemError(body, retryAfter);
  } catch {
    // Not JSON: described by its status below.
  }
  const title = `HTTP ${response.status} ${response.statusText}`.trim();
  return new ProblemError({ type: "about:blank", title, status: response.status }, retryAfter);
}

function isProblem(body: unknown): body is ProblemDocument {
  if (typeof body !== "object" || body === null) return false;
  const { type, title, status } = body as Record<string, unknown>;
  return typeof type === "string" && typeof title === "string" && typeof status === "number";
}

/** `Retry-After` in milliseconds: it is a number of seconds, or a date. */
export function retryAfterOf(value: string | null, now = Date.now()): number | undefined {
  if (value === null) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

// Errors of the API: problem documents (RFC 9457).

/** What the API answers when it cannot do what it was asked. */
export interface ProblemDocument {
  /** `urn:dmrelay:problem:` and a word that stays; texts may change. */
  type: string;
  title: string;
  status: number;
  detail?: string;
  /** All that is wrong with the request: where in the body, as a JSON pointer, or which parameter. */
  errors?: { pointer?: string; parameter?: string; detail: string }[];
  /** Some problems say more, for instance `graphCode`. */
  [more: string]: unknown;
}

const TYPES = "urn:dmrelay:problem:";

// region: problem
/** A problem document, thrown. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly problem: ProblemDocument;
  /** What `Retry-After` says, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(problem: ProblemDocument, retryAfter?: number) {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** The word to decide by, for instance `window-closed`. */
  get word(): string {
    const { type } = this.problem;
    return type.startsWith(TYPES) ? type.slice(TYPES.length) : type;
  }

  /** What is wrong with a field of the body (`/accessToken`) or with a parameter (`limit`). */
  at(place: string): string | undefined {
    return this.problem.errors?.find((error) => (error.pointer ?? error.parameter) === place)?.detail;
  }
}
// endregion

/** The problem an answer tells of. A proxy's error page becomes one too, so that callers know one kind only. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const retryAfter = retryAfterOf(response.headers.get("Retry-After"));
  const text = await response.text().catch(() => "");
  try {
    const body: unknown = JSON.parse(text);
    if (isProblem(body)) return new ProblemError(body, retryAfter);
  } catch {
    // Not JSON: told by its status below.
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

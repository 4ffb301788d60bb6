// What both programs share: steps whose outcomes are told as JSON on standard output.

export const COUNT = 300;
const VOLATILE = new Set(["took", "_scroll_id", "pit_id", "creation_time", "max_score", "_score"]);

export function steady(value) {
  if (Array.isArray(value)) return value.map(steady);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([key]) => !VOLATILE.has(key));
  return Object.fromEntries(kept.map(([key, part]) => [key, steady(part)]));
}

export class Teller {
  told = [];

  tell(step, outcome) {
    this.told.push([step, steady(outcome)]);
  }

  // Make a call, record its answer or the status and kind of its error, return the answer.
  async step(step, call) {
    try {
      const answer = await call();
      this.tell(step, answer);
      return answer;
    } catch (error) {
      const cause = error.meta?.body?.error;
      this.told.push([step, error.name, error.meta?.statusCode ?? null, cause?.type ?? null]);
      return undefined;
    }
  }
}

export async function* documents() {
  for (let n = 0; n < COUNT; n++) yield {id: String(n), n, title: `red shoe ${n % 7}`};
}

// node program INDEX URL...: what a client tells of each server, in order.
export async function main(story) {
  const [index, ...urls] = process.argv.slice(2);
  const stories = [];
  for (const url of urls) {
    const tell = new Teller();
    await story(tell, url, index);
    stories.push(tell.told);
  }
  process.stdout.write(JSON.stringify(stories));
}

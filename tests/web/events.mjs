// A run's events as the server sends them, for tests: numbered, a second apart.

/** @returns {(kind: string, said?: object) => any} makes the next event; `execution` and `at` go on from the last */
export function story(run = "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61") {
  let seq = 0;
  let execution = 1;
  return (kind, said = {}) => {
    seq += 1;
    execution = said.execution ?? execution;
    const at = new Date(Date.UTC(2026, 0, 5, 10, 0, seq)).toISOString();
    return { run, seq, at, execution, kind, node: "", candidate: null, round: 0, ...said };
  };
}

export const counts = (passed, failed = 0) => ({ passed, failed, errors: 0, skipped: 0 });

export const tests = (said) => ({ suite: "judge", failing: [], crashed: "", seconds: 1, sandbox: "bubblewrap", ...said });

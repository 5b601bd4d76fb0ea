// Verdict: whether a target is met. A missed target makes the exit code 1.

export function verdict(met: boolean): string {
  if (!met) process.exitCode = 1
  return met ? 'met' : 'MISSED'
}

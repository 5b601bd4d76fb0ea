// Collect: loaded before a gateway under test. On SIGUSR2 it collects garbage and says on standard error what is left.

process.on('SIGUSR2', () => {
  // Twice, and in real time: what is freed by callbacks in between goes with the second.
  globalThis.gc?.()
  setTimeout(() => {
    globalThis.gc?.()
    process.stderr.write(`rss=${process.memoryUsage.rss()}\n`)
  }, 50)
})

import { CALLERS } from './matrix-callers.ts'
import { startScene } from './matrix-upstreams.ts'
const scene = await startScene()
const long = 'Köln 👋 "\\\n'.repeat(Number(process.argv[2] ?? 1000))
scene.upstreams.calls = [{ name: 'weather', args: { city: long, days: 3 } }]
const caller = CALLERS[0]
for (const how of ['whole', 'streamed'] as const) {
  const talk = caller!.talk(scene.gateway.url)
  const wish = { model: 'anthropic/claude-sonnet-4-5', tools: true }
  console.time(how + ' call'); const called = await talk[how]({ text: 'hello' }, wish, () => {}); console.timeEnd(how + ' call')
  console.time(how + ' back'); await talk[how]({ results: called.calls.map((call) => ({ call, text: long })) }, wish, () => {}); console.timeEnd(how + ' back')
}
await scene[Symbol.asyncDispose]()

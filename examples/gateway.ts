// Gateway: its address and key for the examples, and the models they can ask. Start it with `npm start`.

/** Its origin. */
export const GATEWAY = process.env.BURSAR_URL ?? 'http://127.0.0.1:5555'
/** One of BURSAR_KEYS. Any text if there are none. */
export const KEY = process.env.BURSAR_KEY ?? 'any'

/** The model, or a simulated model if the gateway has no key for the provider. */
export async function modelOrSimulated(provider: string, model: string, simulated = 'sim/echo'): Promise<string> {
  const response = await fetch(`${GATEWAY}/llm/status`, { headers: { authorization: `Bearer ${KEY}` } })
  const { providers }: { providers: { name: string; status: string }[] } = await response.json()
  if (providers.some(({ name, status }) => name === provider && status === 'configured')) return model
  console.log(`The gateway has no key for ${provider}: ${simulated} answers in place of ${model}.`)
  return simulated
}

// Gateway: where the examples find it, and which models they ask there. Start it with `npm start`.

/** Its origin. */
export const GATEWAY = process.env.BURSAR_URL ?? 'http://127.0.0.1:5555'
/** One of BURSAR_KEYS; where there are none, any. */
export const KEY = process.env.BURSAR_KEY ?? 'any'

/** The model, or a simulated one where the gateway has no key for its provider. */
export async function modelOrSimulated(provider: string, model: string, simulated = 'sim/echo'): Promise<string> {
  const response = await fetch(`${GATEWAY}/llm/status`, { headers: { authorization: `Bearer ${KEY}` } })
  const { providers }: { providers: { name: string; status: string }[] } = await response.json()
  if (providers.some(({ name, status }) => name === provider && status === 'configured')) return model
  console.log(`The gateway has no key for ${provider}: ${simulated} answers in place of ${model}.`)
  return simulated
}

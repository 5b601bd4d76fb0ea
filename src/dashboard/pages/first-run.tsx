// First run: how to make the first call, while there is none yet. The call appears below, live.

import { useState } from 'react'
import { GATEWAY, RequestFailed, request } from '../data/api.ts'
import { Code } from '../parts/copy.tsx'
import { Icon } from '../parts/icons.tsx'
import { Segments } from '../parts/segments.tsx'

type Way = 'curl' | 'openai' | 'anthropic'
const BODY = { model: 'sim/echo', messages: [{ role: 'user', content: 'hello' }] }

/** @param needsKey calls need a key of the gateway */
export function FirstRun({ needsKey }: { readonly needsKey: boolean }) {
  const [way, setWay] = useState<Way>('curl')
  const address = GATEWAY.href.replace(/\/$/, '')
  return (
    <section className="card wash" aria-labelledby="hello">
      <div className="hero">
        <h2 id="hello">Bursar is running. Make the first call.</h2>
        <p>
          No provider key is needed: <code>sim/echo</code> answers with what you say, and costs simulated money only.
        </p>
      </div>
      <ol className="steps">
        <li className="done">
          <span className="n">
            <Icon name="ok" />
          </span>
          <div className="at">
            <h3>
              It listens on <code>{address}</code>
            </h3>
            <p className="muted">Point an SDK at this address and keep your code as it is.</p>
          </div>
        </li>
        <li className="on">
          <span className="n">2</span>
          <div className="at">
            <h3>Send this</h3>
            <Segments
              label="Language"
              choices={[
                ['curl', 'curl'],
                ['openai', 'OpenAI SDK'],
                ['anthropic', 'Anthropic SDK'],
              ]}
              chosen={way}
              onChoose={setWay}
            />
            <Code text={exampleOf(way, address, needsKey)} label={`A first call with ${way}`} />
            {!needsKey && <SendFromHere />}
          </div>
        </li>
        <li>
          <span className="n">3</span>
          <div className="at">
            <h3>Then connect a provider</h3>
            <p className="muted">
              Set <code>OPENAI_API_KEY</code>, <code>ANTHROPIC_API_KEY</code> or <code>GEMINI_API_KEY</code> in{' '}
              <code>.env</code> and start again.
            </p>
          </div>
        </li>
      </ol>
    </section>
  )
}

function SendFromHere() {
  const [state, setState] = useState<'waiting' | 'sending' | 'sent' | { readonly failure: string }>('waiting')
  const send = async () => {
    setState('sending')
    try {
      await request('/v1/chat/completions', { method: 'POST', body: BODY })
      setState('sent')
    } catch (error) {
      setState({ failure: error instanceof RequestFailed ? error.message : 'The call was not sent.' })
    }
  }
  return (
    <div className="row">
      <button type="button" className="btn primary" disabled={state === 'sending'} onClick={() => void send()}>
        Or send it from here
      </button>
      <span className="muted small" role="status">
        {typeof state === 'object'
          ? state.failure
          : state === 'sent'
            ? 'Answered.'
            : 'Waiting for the first call. It appears below within a second.'}
      </span>
    </div>
  )
}

function exampleOf(way: Way, address: string, needsKey: boolean): string {
  const key = needsKey ? 'YOUR_KEY' : 'none'
  switch (way) {
    case 'curl':
      return [
        `curl -s ${address}/v1/chat/completions \\`,
        ...(needsKey ? [`  -H 'authorization: Bearer ${key}' \\`] : []),
        "  -H 'content-type: application/json' \\",
        `  -d '${JSON.stringify(BODY)}'`,
      ].join('\n')
    case 'openai':
      return [
        "import OpenAI from 'openai'",
        `const openai = new OpenAI({ baseURL: '${address}/v1', apiKey: '${key}' })`,
        "const messages = [{ role: 'user', content: 'hello' }]",
        "console.log(await openai.chat.completions.create({ model: 'sim/echo', messages }))",
      ].join('\n')
    case 'anthropic':
      return [
        "import Anthropic from '@anthropic-ai/sdk'",
        `const anthropic = new Anthropic({ baseURL: '${address}', apiKey: '${key}' })`,
        "const messages = [{ role: 'user', content: 'hello' }]",
        "console.log(await anthropic.messages.create({ model: 'sim/echo', max_tokens: 100, messages }))",
      ].join('\n')
  }
}

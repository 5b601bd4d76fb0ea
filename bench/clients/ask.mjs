// One question to the gateway through a client for JavaScript. Arguments: the client, the gateway's origin, the model. It is copied
// into the folder of the client's packages, so that it finds them.

const [client, origin, model] = process.argv.slice(2)
const [baseURL, apiKey, prompt] = [`${origin}/v1`, 'any-key-at-all', 'Say hi']
const messages = [{ role: 'user', content: prompt }]

const CLIENTS = {
  async openai() {
    const { default: OpenAI } = await import('openai')
    const answer = await new OpenAI({ baseURL, apiKey }).chat.completions.create({ model, messages })
    return answer.choices[0]?.message.content
  },
  async anthropic() {
    const { default: Anthropic } = await import('@anthropic-ai/sdk')
    const answer = await new Anthropic({ baseURL: origin, apiKey }).messages.create({
      model,
      max_tokens: 500,
      messages,
    })
    return JSON.stringify(answer.content)
  },
  async genai() {
    const { GoogleGenAI } = await import('@google/genai')
    const genai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: origin } })
    return (await genai.models.generateContent({ model, contents: prompt })).text
  },
  async langchain() {
    const { ChatOpenAI } = await import('@langchain/openai')
    return (await new ChatOpenAI({ model, apiKey, configuration: { baseURL } }).invoke(prompt)).content
  },
  async ai() {
    const [{ generateText }, { createOpenAI }] = [await import('ai'), await import('@ai-sdk/openai')]
    return (await generateText({ model: createOpenAI({ baseURL, apiKey }).chat(model), prompt })).text
  },
  async agents() {
    const { Agent, run, setDefaultOpenAIClient, setOpenAIAPI, setTracingDisabled } = await import('@openai/agents')
    const { default: OpenAI } = await import('openai')
    setDefaultOpenAIClient(new OpenAI({ baseURL, apiKey }))
    setOpenAIAPI('chat_completions')
    setTracingDisabled(true)
    return (await run(new Agent({ name: 'helper', model }), prompt)).finalOutput
  },
  async mastra() {
    const [{ Agent }, { createOpenAI }] = [await import('@mastra/core/agent'), await import('@ai-sdk/openai')]
    const chat = createOpenAI({ baseURL, apiKey }).chat(model)
    return (await new Agent({ id: 'helper', name: 'helper', instructions: 'Help.', model: chat }).generate(prompt)).text
  },
  async llamaindex() {
    const { OpenAI } = await import('@llamaindex/openai')
    return (await new OpenAI({ model, apiKey, baseURL }).chat({ messages })).message.content
  },
}

console.log(await CLIENTS[client]())

"""One question to the gateway through a Python client. Arguments: the client, the gateway's origin, the model."""

import sys

client, origin, model = sys.argv[1:]
base, key, prompt = origin + "/v1", "any-key-at-all", "Say hi"
messages = [{"role": "user", "content": prompt}]


def ask_openai():
    from openai import OpenAI

    answer = OpenAI(base_url=base, api_key=key).chat.completions.create(model=model, messages=messages)
    return answer.choices[0].message.content


def ask_anthropic():
    from anthropic import Anthropic

    answer = Anthropic(base_url=origin, api_key=key).messages.create(model=model, max_tokens=500, messages=messages)
    return answer.content[0].text


def ask_genai():
    from google import genai

    options = genai.types.HttpOptions(base_url=origin)
    made = genai.Client(api_key=key, http_options=options)
    return made.models.generate_content(model=model, contents=prompt).text


def ask_langchain():
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=model, base_url=base, api_key=key).invoke(prompt).content


def ask_agents():
    from agents import Agent, OpenAIProvider, RunConfig, Runner
    from openai import AsyncOpenAI

    provider = OpenAIProvider(openai_client=AsyncOpenAI(base_url=base, api_key=key), use_responses=False)
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    return Runner.run_sync(Agent(name="helper", model=model), prompt, run_config=config).final_output


def ask_pydantic():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    chat = OpenAIChatModel(model, provider=OpenAIProvider(base_url=base, api_key=key))
    return Agent(chat).run_sync(prompt).output


def ask_instructor():
    import instructor
    from pydantic import BaseModel

    class Said(BaseModel):
        answer: str

    made = instructor.from_provider("openai/" + model, base_url=base, api_key=key)
    return made.create(response_model=Said, messages=messages)


def ask_litellm():
    import litellm

    answer = litellm.completion(model="openai/" + model, api_base=base, api_key=key, messages=messages)
    return answer.choices[0].message.content


def ask_llamaindex():
    from llama_index.llms.openai_like import OpenAILike

    return OpenAILike(model=model, api_base=base, api_key=key, is_chat_model=True).complete(prompt).text


print(globals()["ask_" + client]())

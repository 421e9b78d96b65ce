import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Agent, type AgentOptions, type RunResult } from 'tercet'
import { corpusTools } from './corpus.ts'
import { clientFor, type ModelChoice, providerNames } from './model.ts'
import { offlineClient } from './offline-client.ts'
import { Terminal } from './terminal.ts'

const usage = `Ask this repository about itself.

  npm start -- "How do I keep an API key hidden from the model?"

An agent searches the docs and the source, reads what it finds, and answers with file and line. It uses a model
of whichever provider there is a key for (OPENAI_API_KEY, ANTHROPIC_API_KEY, GROQ_API_KEY, OPENROUTER_API_KEY),
or of a server that is given, and otherwise answers offline, by quoting.

  --provider NAME      openai, anthropic, groq or openrouter. Default: the first there is a key for
  --model NAME         the model. Default: one that the provider is known to have
  --base-url URL       an OpenAI-compatible server: Ollama, llama.cpp, vLLM, LM Studio.
                       For example: --base-url http://localhost:11434/v1 --model qwen3
  --protocol NAME      how tools are spoken of: native (tool calling) or json (for models without it)
  --json               print the events, one JSON object a line
  --help               print this

Exit codes: 0 answered · 1 failed · 2 wrong arguments · 130 stopped by Ctrl-C`

const instructions = `You answer questions about Tercet, a TypeScript library for agents, from its own repository.
Search before you answer, with a few telling words, and read the best passages in full. Docs tell how to use it; source
under src/ tells the details. Say only what you have read, quote short pieces of code as they stand, and cite file:line
for every claim, as in docs/tools.md:12. Answer first, details after. If the repository does not say it, answer "Not
found in the docs:" and what you looked for.`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const order = readOrder(args)
  if (typeof order === 'string') {
    console.error(order)
    return 2
  }
  if (order.help) {
    console.log(usage)
    return 0
  }
  try {
    return await ask(order)
  } catch (error) {
    // What the constructors of the client and the agent refuse.
    console.error(error instanceof Error ? error.message : String(error))
    return 1
  }
}

interface Order extends ModelChoice {
  readonly question: string
  readonly help: boolean
  readonly json: boolean
  readonly protocol?: 'native' | 'json'
}

/** The order, or what is wrong with it. */
function readOrder(args: readonly string[]): Order | string {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return `${error instanceof Error ? error.message : error}\n\n${usage}`
  }
  const { values, positionals } = parsed
  const { help = false, json = false, provider, model, 'base-url': baseURL, protocol } = values
  const question = positionals.join(' ').trim()
  if (question === '' && !help) return usage
  if (protocol !== undefined && protocol !== 'native' && protocol !== 'json') {
    return `--protocol is "${protocol}"; it must be native or json.`
  }
  if (provider !== undefined && !providerNames.includes(provider)) {
    return `--provider is "${provider}"; it must be one of ${providerNames.join(', ')}.`
  }
  if (baseURL !== undefined && model === undefined && !help) {
    return '--base-url needs --model: the name by which that server knows the model, such as --model qwen3.'
  }
  return {
    question,
    help,
    json,
    ...(provider !== undefined && { provider }),
    ...(model !== undefined && { model }),
    ...(baseURL !== undefined && { baseURL }),
    ...(protocol !== undefined && { protocol }),
  }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      json: { type: 'boolean' },
      provider: { type: 'string' },
      model: { type: 'string' },
      'base-url': { type: 'string' },
      protocol: { type: 'string' },
    },
  })
}

async function ask(order: Order): Promise<number> {
  const colors = process.stdout.isTTY && !process.env['NO_COLOR']
  const terminal = new Terminal((text) => process.stdout.write(text), colors)
  const client = clientFor(order)
  if (!client) {
    const notice =
      'No API key and no --base-url: answering offline by quoting the docs. See --help for how to use a model.'
    if (order.json) console.error(notice)
    else terminal.notice(notice)
  }
  const options: AgentOptions = {
    client: client ?? offlineClient(),
    instructions,
    tools: corpusTools(fileURLToPath(new URL('../..', import.meta.url))),
    ...(order.protocol && { protocol: order.protocol }),
  }
  await using agent = new Agent(options)
  const stream = agent.runStream(order.question)
  const stop = () => stream.abort()
  // Only the first: a second Ctrl-C ends the process as always.
  process.once('SIGINT', stop)
  for await (const event of stream) {
    if (order.json) console.log(JSON.stringify(event))
    else terminal.show(event)
  }
  process.off('SIGINT', stop)
  const result = await stream.result
  if (!order.json) terminal.end(result)
  return exitCode(result)
}

function exitCode({ status, error }: RunResult): number {
  if (status === 'done') return 0
  if (status === 'aborted') {
    console.error('Stopped.')
    return 130
  }
  console.error(error?.message ?? `The run ended without an answer: ${status}.`)
  return 1
}

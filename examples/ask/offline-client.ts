import type { CallOptions, LLMChunk, LLMClient, LLMRequest, LLMResponse, ToolCall } from 'tercet'
import { type Excerpt, quote } from './quote.ts'
import { readSituation, type Situation } from './situation.ts'
import { contentWords, otherWords, stemsOf, type Word } from './words.ts'

/**
 * Stands in for a model where there is none. It makes nothing up, for it can only quote: it searches for the words of
 * the question, reads the passages that say most, and answers with them or says that there are none. What comes next it
 * reads from the request alone, as a model does. It reports no usage, so the agent estimates it.
 */
export function offlineClient(): LLMClient {
  return {
    provider: 'offline',
    model: 'quotes',
    capabilities: {
      tools: true,
      streaming: true,
      structuredOutput: false,
      images: false,
      contextWindow: 128_000,
    },
    call: async (request, options) => respond(request, options),
    async *stream(request, options): AsyncGenerator<LLMChunk> {
      const response = respond(request, options)
      for (const text of response.text.match(/\s*\S+\s*$|\s*\S+/g) ?? []) {
        options?.signal?.throwIfAborted()
        yield { type: 'text', text }
      }
      for (const [index, { id, toolName, parameters }] of response.toolCalls.entries()) {
        yield { type: 'tool_call', index, id, toolName, parametersText: JSON.stringify(parameters) }
      }
      yield { type: 'end', response }
    },
  }
}

/** What is said next: text alone is the answer. */
interface Reply {
  readonly plan?: string
  readonly text: string
  readonly calls?: readonly Pick<ToolCall, 'toolName' | 'parameters'>[]
}

function respond(request: LLMRequest, { signal }: CallOptions = {}): LLMResponse {
  signal?.throwIfAborted()
  const situation = readSituation(request)
  const { plan, text, calls = [] } = decide(situation)
  // The conversation only grows, so a number of its own tells the calls of one reply from all others.
  const withId = (call: Pick<ToolCall, 'toolName' | 'parameters'>, index: number): ToolCall => ({
    id: `offline_${request.messages.length}_${index}`,
    ...call,
  })
  if (situation.json) {
    const toolCalls = calls
      .map(withId)
      .map(({ id, toolName, parameters }) => ({ id, tool_name: toolName, parameters }))
    const said =
      toolCalls.length > 0
        ? { tool_thought: text || 'As planned.', tool_calls: toolCalls }
        : { final_answer: text }
    const envelope = JSON.stringify({ ...(plan !== undefined && { plan }), ...said })
    return { text: `\`\`\`json\n${envelope}\n\`\`\``, toolCalls: [], stopReason: 'stop' }
  }
  const planned = plan === undefined ? [] : [{ toolName: 'plan', parameters: { plan } }]
  const toolCalls = [...planned, ...calls].map(withId)
  return { text, toolCalls, stopReason: toolCalls.length > 0 ? 'tool_calls' : 'stop' }
}

/** Search, read, answer: the first of them that is not done yet. */
function decide(situation: Situation): Reply {
  const { results, tools } = situation
  const words = wordsOf(situation)
  if (results.length === 0 && tools.has('search') && tools.has('read_file')) return begin(situation, words)
  const reads = results.filter(({ toolName }) => toolName === 'read_file')
  if (reads.length > 0) return answer(situation, words)
  const search = results.findLast(({ toolName }) => toolName === 'search')
  if (!search)
    return { text: 'I can only quote the docs, and have no tools to search and to read them with.' }
  if (!search.ok) return { text: `I could not search the docs: ${search.content}` }
  const hits = worthReading(readHits(search.content), words)
  if (hits.length === 0 || !tools.has('read_file')) return { text: notFound(words) }
  return {
    text: `${hits.map(placed).join(' and ')} ${hits.length > 1 ? 'say' : 'says'} most about it.`,
    calls: hits.map(({ path, from, to }) => ({ toolName: 'read_file', parameters: { path, from, to } })),
  }
}

/** The words to look for. A question that leans on the one before ("And in a test?") takes its words along. */
function wordsOf({ question, earlier }: Situation): Word[] {
  const own = contentWords(question)
  const leans = /^(?:and|but|so|then|also|what about|how about|why)\b|\b(?:it|that|this|those|them|they)\b/i
  const before = earlier.at(-1)
  return before !== undefined && (own.length === 0 || leans.test(question))
    ? contentWords(`${question} ${before}`)
    : own
}

function begin({ canPlan }: Situation, words: readonly Word[]): Reply {
  if (words.length === 0) {
    const parameters = { path: 'README.md', from: 1, to: 40 }
    return {
      text: 'There is no word in it to search for; the README says what all this is.',
      calls: [{ toolName: 'read_file', parameters }],
    }
  }
  const list = words.map(({ text }) => text).join(', ')
  const plan = [
    `Search the docs and the source for: ${list}.`,
    'Read the passages that say most about it.',
    'Answer with their own words, and say where they stand.',
  ]
  return {
    ...(canPlan && { plan: plan.map((line, index) => `${index + 1}. ${line}`).join('\n') }),
    text: canPlan ? '' : `Looking for ${list}.`,
    calls: [{ toolName: 'search', parameters: { query: words.map(({ text }) => text).join(' ') } }],
  }
}

/** A place that search named. */
interface Hit {
  readonly path: string
  readonly from: number
  readonly to: number
  /** How much of the question it speaks of, in percent. */
  readonly coverage: number
  readonly score: number
  readonly heading: string
}

function readHits(found: string): Hit[] {
  const heads = found.matchAll(/^\[\d+\] (\S+):(\d+)-(\d+) \(covers (\d+) %, score ([\d.]+)\)(?: — (.*))?$/gm)
  return Array.from(heads, ([, path = '', from, to, coverage, score, heading = '']) => ({
    path,
    from: Number(from),
    to: Number(to),
    coverage: Number(coverage),
    score: Number(score),
    heading,
  }))
}

/** Below it, a passage shares a word with the question but hardly its subject. */
const relevantPercent = 50

/** A passage of source has many words in passing: it has to be named after what is asked as well. */
function relevant(hits: readonly Hit[], words: readonly Word[]): Hit[] {
  const asked = new Set(words.map(({ stem }) => stem))
  const isNamedSo = ({ heading }: Hit) => stemsOf(heading).some((stem) => asked.has(stem))
  return hits.filter((hit) => hit.coverage >= relevantPercent && (isProse(hit) || isNamedSo(hit)))
}

const isProse = ({ path }: { readonly path: string }): boolean => path.endsWith('.md')

/** The best passage, and a second one if it is nearly as good and of the same kind. */
function worthReading(hits: readonly Hit[], words: readonly Word[]): Hit[] {
  const [best, ...others] = relevant(hits, words)
  if (!best) return []
  const second = others.find((hit) => hit.score >= best.score * 0.75 && isProse(hit) === isProse(best))
  return second ? [best, second] : [best]
}

/** Lines that are quoted at most: of one passage, and of all. */
const longestQuote = 40
const longestAnswer = 60

function answer({ results }: Situation, words: readonly Word[]): Reply {
  const stems = new Set(words.flatMap(({ stem }) => [stem, ...otherWords(stem)]))
  const reads = results.filter(({ toolName }) => toolName === 'read_file')
  const failures = reads
    .filter(({ ok }) => !ok)
    .map(({ content }) => `One passage could not be read: ${content}`)
  const excerpts = reads.filter(({ ok }) => ok).flatMap(({ content }) => readExcerpt(content))
  let left = longestAnswer
  const quotes = excerpts.map((excerpt) => {
    const text = quote(excerpt, stems, Math.min(longestQuote, left))
    left -= text.split('\n').length
    return text
  })
  if (quotes.length === 0) return { text: [notFound(words), ...failures].join('\n\n') }
  const search = results.findLast(({ toolName, ok }) => toolName === 'search' && ok)
  const read = (hit: Hit) => excerpts.some(({ path, from }) => path === hit.path && from === hit.from)
  const others = relevant(readHits(search?.content ?? ''), words).filter(
    (hit) => !read(hit) && isProse(hit) === isProse(excerpts[0] ?? hit),
  )
  const more = others.slice(0, 3).map((hit) => `- ${placed(hit)}`)
  const seeAlso = more.length > 0 ? [`See also:\n${more.join('\n')}`] : []
  return { text: [...quotes, ...failures, ...seeAlso].join('\n\n') }
}

/** The lines of a `read_file` result without their numbers. */
function readExcerpt(content: string): Excerpt[] {
  const [head = '', ...lines] = content.split('\n')
  const [, path, from] = /^(.+), lines (\d+)-\d+ of \d+$/.exec(head) ?? []
  if (path === undefined) return []
  return [{ path, from: Number(from), lines: lines.map((line) => line.replace(/^\d+\| /, '')) }]
}

const placed = ({ path, from, heading }: Hit): string => `${path}:${from}${heading && ` "${heading}"`}`

function notFound(words: readonly Word[]): string {
  const list = words.map(({ text }) => `"${text}"`).join(', ')
  return (
    `Not found in the docs: no passage speaks of ${list || 'that'} closely enough to be an answer. ` +
    'I can only quote them; other words may find more, and a real model (--model) understands more.'
  )
}

export {
  type Cassette,
  type CassetteOptions,
  cassette,
} from './cassette/cassette.ts'
export { CassetteMissError } from './cassette/miss.ts'
export type { Mutation } from './cassette/mutation.ts'
export {
  type VirtualClock,
  type VirtualClockOptions,
  virtualClock,
} from './clock.ts'
export { type ClientCaseName, clientConformance } from './conformance/client.ts'
export type { ClientUnderTest, ConformanceSettings, MakeClient } from './conformance/client-stage.ts'
export type { ConformanceCase, ConformanceOptions } from './conformance/conformance.ts'
export { type StoreCaseName, storeConformance } from './conformance/store.ts'
export type { MakeStore, StoreUnderTest } from './conformance/store-stage.ts'
export { checkEvents, EventGrammar } from './event-grammar.ts'
export type { JsonDifference } from './json-difference.ts'
export {
  type ReplayOptions,
  type ReplayParts,
  type ReplayReport,
  replay,
  type SkippedRun,
} from './replay/replay.ts'
export type { FirstDifference } from './replay/store.ts'
export {
  type CallOf,
  calls,
  chunks,
  type Failure,
  fails,
  type Hang,
  hangs,
  json,
  type Made,
  plans,
  type Reply,
  type ReplyMaker,
  type Script,
  type ScriptedCall,
  type ScriptedReply,
  says,
} from './script.ts'
export { ScriptExhaustedError, ScriptedClient, type ScriptedClientOptions } from './scripted-client.ts'
export type { Chunking } from './strict-bytes.ts'
export type {
  BodyFault,
  DeliveryFault,
  FailureFault,
  FailureKind,
  Pieces,
  Refusal,
  StrictError,
  StrictFault,
  StrictReply,
  StrictToolCall,
  StrictTurn,
  StrictUsage,
  UnfinishedFault,
} from './strict-contract.ts'
export {
  type StrictProvider,
  type StrictProviderOptions,
  type StrictRequest,
  type StrictScript,
  strictProvider,
} from './strict-provider.ts'

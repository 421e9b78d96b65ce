export { Agent, type AgentSnapshot } from './agent/agent.ts'
export {
  type AgentConfig,
  type ConfigLayer,
  type ConfigLayers,
  loadConfig,
  type ResolvedConfig,
  resolveConfig,
} from './agent/config.ts'
export type { Conversation, ConversationRunOptions } from './agent/conversation.ts'
export { approve, type Decisions, deny, edit } from './agent/decisions.ts'
export type { HookInfo, Hooks } from './agent/hooks.ts'
export { consoleLogger, type Logger, type LogLevel } from './agent/logger.ts'
export { memoryTools } from './agent/memory-tools.ts'
export {
  type AgentOptions,
  autonomous,
  type InstructionsContext,
  type PartOptions,
  type ResumeOptions,
  type RunLimits,
  type RunOptions,
  type UnknownOutcome,
  type UnknownOutcomeHandler,
} from './agent/options.ts'
export { type RecallToolOptions, recallTool } from './agent/recall-tool.ts'
export type { RecoverOptions } from './agent/recover.ts'
export { resultOf } from './agent/result.ts'
export {
  emptySnapshot,
  type RunSnapshot,
  reduceSnapshot,
  type SnapshotCall,
  type SnapshotStep,
} from './agent/run-snapshot.ts'
export type { RunStream } from './agent/run-stream.ts'
export type {
  BatchCallOptions,
  BatchClient,
  BatchOptions,
  BatchResult,
  BatchWaitOptions,
} from './client/batch-client.ts'
export {
  type CallOptions,
  type CallScope,
  type Capabilities,
  type ClientMiddleware,
  type ClientNotice,
  type FailoverNotice,
  type LimitLeft,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
  type ModelName,
  type ModelParams,
  type ProviderLimits,
  type RetryNotice,
  type StopReason,
  type ToolChoice,
  type ToolDefinition,
  type WarningNotice,
  wrapClient,
} from './client/client.ts'
export { defaultParams } from './client/default-params.ts'
export {
  type ClientFactory,
  defineProvider,
  type ProviderConfig,
  type ProviderConnection,
  type ProviderDefinition,
  type ProviderInfo,
  ProviderRegistry,
} from './client/provider-registry.ts'
export { type TextClientOptions, textClient } from './client/text-client.ts'
export {
  AgentClosedError,
  ApprovalError,
  BudgetExceededError,
  type BudgetLimit,
  ConcurrentRunError,
  ConfigurationError,
  ConflictError,
  CorruptEntryError,
  DuplicateToolError,
  type ErrorCode,
  type ErrorInfo,
  errorCodes,
  FatalToolError,
  InvalidToolSchemaError,
  isTercetError,
  LLMError,
  type LLMErrorDetails,
  type LLMErrorKind,
  MaxIterationsError,
  MaxToolRoundsError,
  MissingCredentialError,
  MissingPackageError,
  NoProgressError,
  NothingToResumeError,
  OutputValidationError,
  ProviderNotFoundError,
  QueueFullError,
  RefusedError,
  ResponseParseError,
  RunAbortedError,
  RunSuspendedError,
  RunTimeoutError,
  type SerializedError,
  StoreError,
  TercetError,
  ToolExecutionError,
  ToolInputError,
  ToolNotFoundError,
  ToolTimeoutError,
  UnexpectedError,
} from './errors.ts'
export type {
  AgentApprovalRequired,
  AgentCompactionEvent,
  AgentDiagnosticEvent,
  AgentEvent,
  AgentFailoverEvent,
  AgentFinalResponseEvent,
  AgentPlanEvent,
  AgentRetracted,
  AgentRetryEvent,
  AgentRunEnd,
  AgentRunStart,
  AgentSteeringEvent,
  AgentStepEvent,
  AgentStreamEnd,
  AgentStreamStart,
  AgentToken,
  AgentToolExecutionEvent,
  AgentToolResultsEvent,
  AgentUsageEvent,
  CompactionReport,
  ContextReport,
  ContextSegments,
  Cost,
  DiagnosticCode,
  PendingCall,
  RunLimit,
  RunResult,
  RunStatus,
  RunTiming,
  Step,
} from './events.ts'
export { eventTypes, isEvent } from './events.ts'
export type { PolicyScope, ToolPolicy, ToolRule, ToolRules } from './guard/policy.ts'
export type { JsonObject, JsonSchema, JsonValue } from './json.ts'
export { type ArchiveSink, archivePruned } from './memory/archive.ts'
export { buildMessages, buildSystemPrompt } from './memory/block-prompt.ts'
export type { BlockHit } from './memory/block-search.ts'
export type { BlockProposal, MemoryBlock } from './memory/block-state.ts'
export type { BlockWrite } from './memory/block-write.ts'
export {
  type BlockOptions,
  type BlockSearchOptions,
  type BlockWriteOptions,
  MemoryBlocks,
  type MemoryBlocksOptions,
} from './memory/blocks.ts'
export {
  type Chunk,
  type ChunkOptions,
  chunkSemantically,
  type EmbeddedChunkOptions,
} from './memory/chunks.ts'
export { type CompactorOptions, compactor } from './memory/compaction.ts'
export { composeMemory } from './memory/compose.ts'
export type { Embed, Vector } from './memory/meaning-search.ts'
export type {
  AgentBlocks,
  AgentMemory,
  CompactionTask,
  Compactor,
  MemoryContext,
  TokenCounter,
} from './memory/memory.ts'
export { type OffloadToolOutputOptions, offloadToolOutput } from './memory/offload.ts'
export { type MessageScore, PriorityMemory, type PriorityMemoryOptions } from './memory/priority.ts'
export { type HistoryIssue, repairHistory, validateHistory } from './memory/repair.ts'
export { RetentionMemory, type RetentionMemoryOptions } from './memory/retention.ts'
export { SimpleAgentMemory, type SimpleAgentMemoryOptions } from './memory/simple.ts'
export { SummarizingMemory, type SummarizingMemoryOptions } from './memory/summarizing.ts'
export { estimateTokens } from './memory/tokens.ts'
export { type DropOldToolOutputOptions, dropOldToolOutput } from './memory/tool-output.ts'
export { TurnPruningMemory, type TurnPruningMemoryOptions } from './memory/turns.ts'
export {
  type AssistantMessage,
  addUsage,
  assistant,
  type Content,
  type ContentPart,
  type FilePart,
  type ImagePart,
  type Message,
  parseMessages,
  type Reasoning,
  type SystemMessage,
  system,
  type TextPart,
  type ToolCall,
  type ToolMessage,
  type ToolResult,
  textOf,
  toolMessage,
  type Usage,
  type UserMessage,
  user,
} from './messages.ts'
export {
  type ToolUsage,
  type UsageReport,
  UsageTracker,
} from './observe/usage-tracker.ts'
export { type AdaptiveBatching, type Batcher, type BatcherOptions, batcher } from './resilience/batch.ts'
export {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  type CircuitBreakerState,
  type CircuitChange,
  type CircuitHealth,
  CircuitOpenError,
  circuitBreaker,
} from './resilience/breaker.ts'
export { budget } from './resilience/budget.ts'
export type {
  Budget,
  BudgetAmounts,
  BudgetLedger,
  BudgetOptions,
  BudgetState,
} from './resilience/budget-options.ts'
export type { Candidate } from './resilience/candidate.ts'
export type { CircuitSnapshot, CircuitState } from './resilience/circuit.ts'
export { type ConcurrencyOptions, concurrency } from './resilience/concurrency.ts'
export { type DegradeOptions, degrade } from './resilience/degrade.ts'
export { type FailoverOptions, failover } from './resilience/failover.ts'
export { fallbackAnswer } from './resilience/fallback-answer.ts'
export { type Key, type KeyRing, type KeyRingOptions, type Keys, keyRing } from './resilience/key-ring.ts'
export { createPool, type Pool, type PoolOptions } from './resilience/pool.ts'
export type { ModelPrice, Prices } from './resilience/prices.ts'
export { costOf, type PriceQuote, type Pricing, type PricingOptions, pricing } from './resilience/pricing.ts'
export {
  type RateLimit,
  type RateLimitOptions,
  type RateLimitStatus,
  rateLimit,
} from './resilience/rate-limit.ts'
export {
  type Recovery,
  type RecoveryContext,
  type RecoveryOptions,
  type RecoveryStrategy,
  recovery,
} from './resilience/recovery.ts'
export { retry } from './resilience/retry.ts'
export type { RetryOptions } from './resilience/retry-options.ts'
export type { RetryPolicy } from './resilience/retry-policy.ts'
export {
  type SharedLimiter,
  type SharedRateLimitOptions,
  sharedRateLimit,
} from './resilience/shared-rate-limit.ts'
export { SwitchableClient, type SwitchableClientOptions } from './resilience/switchable.ts'
export { type TimeoutOptions, timeout } from './resilience/timeout.ts'
export { createRuntime, type Runtime, systemRuntime } from './runtime.ts'
export { isSecret, type Secret, secret } from './secret.ts'
export { type BatchProgress, type RunBatchOptions, runBatch } from './team/run-batch.ts'
export { compactTool } from './tools/compact-tool.ts'
export { type JsonToolOptions, type TypedToolOptions, tool } from './tools/define.ts'
export type { MadeCall } from './tools/dispatch.ts'
export { ToolRegistry } from './tools/registry.ts'
export {
  type DynamicTools,
  type Effect,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
  Tool,
  type ToolContext,
  type ToolConversation,
  type ToolOutput,
  type ToolRetry,
  toolError,
  toolResult,
} from './tools/tool.ts'
export { ToolSet, type ToolSetOptions } from './tools/toolset.ts'
export type {
  ApprovalDecidedEntry,
  ApprovalRequestedEntry,
  BlockChange,
  BlockEntry,
  BlockPermission,
  BlockTier,
  Compaction,
  CompactionEntry,
  Decision,
  Entry,
  InputEntry,
  MessageEntry,
  ReplyEntry,
  ReplyKind,
  RunEndedEntry,
  RunResumedEntry,
  RunSuspendedEntry,
  ToolFinishedEntry,
  ToolStartedEntry,
} from './transcript/entry.ts'
export {
  type ConversationInfo,
  type ConversationQuery,
  type ConversationRunState,
  type ConversationStore,
  isAskedFor,
  MemoryStore,
  runStateAfter,
} from './transcript/store.ts'
export { decodeEntry, type EntryPlace, encodeEntry } from './transcript/stored-entry.ts'

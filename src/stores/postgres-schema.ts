/** What takes a schema from each version to the next; what was released never changes. Names are those of the schema. */
export const migrations: readonly string[] = [
  `-- key is the exact id, as UTF-16; id is the same for people to read.
   CREATE TABLE conversations (
     number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     key bytea NOT NULL UNIQUE,
     id text NOT NULL,
     version integer NOT NULL,
     state text NOT NULL,
     updated_at timestamptz NOT NULL
   );
   CREATE INDEX conversations_by_state ON conversations (state, key);

   -- entry is the exact JSON; the columns after it are the message in it, if there is one, for people to read.
   CREATE TABLE entries (
     conversation bigint NOT NULL REFERENCES conversations ON DELETE CASCADE,
     position integer NOT NULL,
     entry text NOT NULL,
     role text,
     content text,
     tool_name text,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (conversation, position)
   );

   CREATE VIEW messages AS
     SELECT id AS conversation_id, position, role, content, tool_name, created_at
     FROM entries JOIN conversations ON number = conversation
     WHERE role IS NOT NULL;`,
]

/**
 * One text of statements that makes `schema` the newest: once, whoever else tries at the same time, and all or nothing,
 * because statements that are sent as one text are one transaction. A newer schema is left as it is.
 */
export function migrationOf(schema: string, steps: readonly string[] = migrations): string {
  const upgrades = steps.map(
    (step, index) =>
      `IF reached < ${index + 1} THEN ${step} UPDATE schema_version SET version = ${index + 1}; END IF;`,
  )
  return `
    SELECT pg_advisory_xact_lock(hashtextextended('tercet ${schema}', 0));
    DO $migrate$
    DECLARE reached integer;
    BEGIN
      IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the encoding of the database is %, and has to be UTF8', current_setting('server_encoding');
      END IF;
      -- Asked first: whoever may not create schemas may use one that is there.
      IF to_regnamespace('${schema}') IS NULL THEN CREATE SCHEMA ${schema}; END IF;
      SET LOCAL search_path TO ${schema};
      IF to_regclass('${schema}.schema_version') IS NULL THEN
        CREATE TABLE schema_version (version integer NOT NULL);
        INSERT INTO schema_version VALUES (0);
      END IF;
      SELECT version INTO reached FROM schema_version;
      ${upgrades.join('\n')}
    END $migrate$`
}

-- Containers (owner: containers/) -------------------------------------------------------------------------------------
-- First host id of the range of another container, whose pid or ipc namespace this one joins; `id_range` is NULL then. It is
-- free when no row has it in either column.
ALTER TABLE containers ADD COLUMN joined_id_range INTEGER
  CHECK (joined_id_range IS NULL
    OR (id_range IS NULL AND joined_id_range >= 1073741824 AND joined_id_range % 65536 = 0));

import { expect, test } from "vitest"
import { allowed } from "../../src/database/mariadb/load-allowed.ts"
import { type Statement, statements } from "../../src/database/mariadb/load-statements.ts"

async function* cut(text: string, at: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let from = 0; from < bytes.length; from += at) {
    await Promise.resolve()
    yield bytes.subarray(from, from + at)
  }
}

const read = (text: string, at = 1_000_000): Promise<Statement[]> => Array.fromAsync(statements(cut(text, at)))
const texts = async (text: string, at?: number): Promise<string[]> => (await read(text, at)).map((statement) => statement.text.toString())

const dump = `/*M!999999\\- enable the sandbox mode */ 
-- MariaDB dump; with a semicolon
\\restrict abc123
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS \`a;b\`;
CREATE TABLE \`a;b\` (
  \`x\` text DEFAULT 'it''s; "one" \\'' COMMENT "double ; \\" -- no comment", -- a comment; here
  \`y\` int /* plain; comment */
) ENGINE=InnoDB;
INSERT INTO \`a;b\` VALUES ('\\\\',1),('a\\\\\\';b',-2.5e3),(NULL,0x41),(_binary 'é','# no comment');
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=\`root\`@\`localhost\`*/ /*!50003 TRIGGER t AFTER INSERT ON \`a;b\` FOR EACH ROW BEGIN SET @a = 1; SET @b = 'x;;y'; END */;;
DELIMITER ;
SET TIME_ZONE=@OLD_TIME_ZONE;
\\unrestrict abc123
-- Dump completed
`

test("a dump is the same statements however its bytes arrive", async () => {
  const whole = await texts(dump)
  expect(whole).toHaveLength(6)
  expect(whole[3]).toContain("('a\\\\\\';b',-2.5e3)")
  expect(whole[2]).not.toContain("plain; comment")
  expect(whole[4]).toMatch(/END \*\/$/)
  for (let at = 1; at < 60; at++) expect(await texts(dump, at), `cut at ${at}`).toEqual(whole)
})

test("a statement is where it says it is, for whoever must look at it", async () => {
  expect((await read(dump)).map(({ line }) => line)).toEqual([4, 5, 6, 10, 12, 14])
})

test.each([
  ["a backslash outside of a text", "SELECT 1 \\G\n;", "line 1 of the dump: a command for a client"],
  ["an open text", "INSERT INTO `t` VALUES ('a", "the dump ends within a statement"],
  ["an open comment", "/* never", "the dump ends within a statement"],
  ["no delimiter at its end", "DROP TABLE IF EXISTS `t`", "the dump ends within a statement"],
])("a dump with %s is refused", async (_what, text, refusal) => {
  await expect(read(text)).rejects.toThrow(refusal)
})

const kindOf = (text: string): string => allowed({ text: Buffer.from(text), line: 1 }).kind

test.each([
  ["rows", "INSERT INTO `t` (`a`, `b`) VALUES\n(1,'x'),\n(-1.5e-7,NULL)"],
  ["rows", "INSERT INTO `values ('a` VALUES ('VALUES (f())')"],
  ["setting", "/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */"],
  ["setting", "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'"],
  ["view", "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`root`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */"],
  ["code", "CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()\nBEGIN SELECT 1; END"],
  ["counter", "DO SETVAL(`s`, 7, 0)"],
  ["skip", "/*!40000 ALTER TABLE `t` DISABLE KEYS */"],
  ["table", "CREATE TABLE `select` (`a` int COMMENT 'DATA DIRECTORY') ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
])("a dump may hold %s such as %s", (kind, text) => {
  expect(kindOf(text)).toBe(kind)
})

test.each([
  "INSERT INTO `t` VALUES (1) ON DUPLICATE KEY UPDATE `a` = SLEEP(9)",
  "INSERT INTO `t` VALUES (1), (SLEEP(9))",
  "INSERT INTO `t` VALUES ((SELECT 1))",
  "INSERT INTO `t` SELECT 1",
  "REPLACE INTO `t` VALUES (1)",
  "SET @x = (SELECT 1)",
  "SET PASSWORD = 'x'",
  "SET @@GLOBAL.general_log = 1",
  "/*!50003 SET GLOBAL general_log = 1 */",
  "CREATE TABLE `t` (`a` int) ENGINE=CONNECT",
  "CREATE TABLE `t` (`a` int) DATA DIRECTORY='/tmp'",
  "CREATE TABLE `t` (`a` int) SELECT * FROM `mysql`.`global_priv`",
  "CREATE TABLE `other`.`t` (`a` int)",
  "DROP DATABASE `other`",
  "DROP TABLE `t`",
  "USE `mysql`",
  "GRANT ALL ON *.* TO evil",
  "CALL evil()",
  "INSTALL PLUGIN x SONAME 'y'",
  "CREATE DEFINER=`a`@`b` TRIGGER `other`.`t` AFTER INSERT ON `u` FOR EACH ROW SET @a = 1",
  "EXECUTE IMMEDIATE 'SELECT 1'",
])("a dump may not hold %s", (text) => {
  expect(() => kindOf(text)).toThrow("a statement that no dump has")
})

test("code acts for whoever loads it, not in the name of someone of another server", () => {
  const { text, definer } = allowed({ text: Buffer.from("CREATE DEFINER='ro ot'@'%' FUNCTION `f`() RETURNS int RETURN 1"), line: 1 })
  expect(definer).toBe(true)
  expect(text.toString()).toBe("CREATE  FUNCTION `f`() RETURNS int RETURN 1")
})

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB

/** One PUT, one hash, one retry; 16 MiB keeps requests at about 2 million a month for 1 TB a day. */
export const packBytesTarget = 16 * MiB
/** No pack is larger: a reader may hold one in memory. */
export const packBytesMax = 32 * MiB
/** Members of one pack; bounds what a reader keeps of its index. */
export const packMembersMax = 4096
/** A file above this is split into pieces of this size, so that every segment fits a pack. */
export const pieceBytes = 16 * MiB
/** Uncompressed bytes of one zstd frame: what a ranged read of one file has to inflate at most. */
export const frameBytesMax = 8 * MiB
/** Memory that the bytes of one file in one segment keep while it is restored: a piece, and the frame it ends in. */
export const extractedBytesMax = pieceBytes + frameBytesMax
/** A file above this starts its own zstd frame, so that it can be read alone. */
export const ownFrameBytesMin = 4 * KiB
/** Packs being built or sent, over all workers and sites; with Node itself this keeps the process below 300 MB. */
export const inFlightBytesMax = 128 * MiB
/** A commit is read whole before its signature is checked. */
export const commitBytesMax = 8 * MiB
/** A trust list, a repository object, a key object: read whole, so bounded. */
export const smallObjectBytesMax = 1 * MiB
/** Uncompressed bytes of one manifest or inventory part. */
export const listingBytesMax = 32 * MiB
/** Items of one manifest part, about 2 MiB of JSON lines: while it is written all of them are in memory, at about 4 KB each. */
export const manifestItemsMax = 5000
/** Nesting of any canonical JSON value. */
export const jsonDepthMax = 16
/** PATH_MAX on Linux is 4096 with its zero byte. */
export const pathBytesMax = 4095
/** NAME_MAX on Linux. */
export const nameBytesMax = 255
/** Long archive runs commit at least this often, so that a crash loses little. */
export const commitEveryBytes = 64 * GiB
export const commitEveryMs = 30 * 60_000
/** Packs listed by one commit: at 110 bytes each this stays below commitBytesMax. */
export const commitPacksMax = 60_000
/** A pack that no commit lists and that is older than this may soon be expired: its items are captured again. */
export const unlistedPackDaysMax = 7
/** Classes shorter than the data bucket's quarantine cannot be kept. */
export const classDaysMin = 28
/** What no commit lists is kept as long as the quarantine: it may belong to a commit that is on its way. */
export const unlistedPackDays = 28
/** After its time a snapshot is kept for this much longer: clocks of sites differ, and whoever began to restore it shall end. */
export const expiryGraceDays = 2
/** A day named by a hold reaches into the days beside it, as people's days are not UTC's. */
export const holdMarginDays = 1
/** Why a hold is placed or lifted, as the log keeps it. */
export const holdReasonMax = 1000
/** Accounts that one legal hold names. */
export const holdAccountsMax = 64
/** Runs that were not whole, and are kept for longer all the same, in one day, week, month or year. */
export const promotionTriesMax = 3
/** How often whoever works on a state directory says that it does: a small write. */
export const leaseRenewMs = 10_000
/** After so long a silence it is stopped, or its machine hangs; no work keeps a process from a timer for minutes. */
export const leaseExpiryMs = 5 * 60_000
/** A due time that is noticed this late was missed: a machine under load is not, and one that was away is. */
export const startGraceMs = 5 * 60_000
/** Of due times that passed while nothing ran, at most so many are run one after the other: a day of hours. */
export const catchUpRunsMax = 24
/** A run that waits for another job's goes without it after this long: better a backup in the wrong order than none. */
export const dependencyWaitMs = 6 * 3_600_000
/** A due time whose run kills the process is not begun a fourth time. */
export const dueAttemptsMax = 3
/** A clock that was set back by less waits for due times that were run already; beyond it, the clock was wrong before, and due times count anew. */
export const clockBackMaxMs = 3 * 3_600_000
/** The scheduler looks at the clock at least this often: it may have been set. */
export const clockLookMs = 20_000
/** A job whose state directory another process holds is tried again after this long. */
export const busyRetryMs = 30_000
/** What is under way when the daemon is asked to end gets this long to do so by itself. */
export const drainMs = 60_000
/** A daemon from which its service manager hears nothing for so long hangs, and is started anew. */
export const watchdogMs = 180_000
/** One message to the service manager: a datagram on this host. */
export const notifyTimeoutMs = 15_000
/** How old metrics may be: a scraper asks every 15 seconds or less often. */
export const metricsAgeMs = 10_000
/** Whoever asks for health asks at once, or is cut off. */
export const healthRequestMs = 5000
/** Scrapers and people, at once. */
export const healthConnectionsMax = 32
/** One configuration or job file: a thousand sites fit; a parser is never given more. */
export const configBytesMax = 256 * KiB
/** Nesting of a configuration file; the deepest real key is five down. */
export const configDepthMax = 16
/** Files in conf.d/ or jobs/: more is a wrong directory. */
export const configFilesMax = 1000
/** A secret: an identity file with several post-quantum keys is below 16 KiB. */
export const secretBytesMax = 64 * KiB
/** S3's limit for a key; GCS and every file system allow as much. */
export const keyBytesMax = 1024
/** A temporary file at a directory site that is older belongs to a process that died; no write takes as long. */
export const temporaryAgeMaxMs = 24 * 3_600_000
/** Enough to keep a disk or an NFS mount busy; each call in flight holds one of libuv's threads. */
export const directoryConcurrency = 4
/** All attempts at one call: two that end at their deadline, and the waits. Who calls has other sites, and other work, to turn to. */
const patienceMs = 5 * 60_000
/** A server that asks for a longer rest than this is one to come back to in the next run. */
const retryAfterMaxMs = 60_000
/** A mounted directory is either there or gone for longer than any retry: few attempts. 32 MiB in two minutes is 270 KiB/s. */
export const directoryRetry = {
  attempts: 3,
  firstDelayMs: 200,
  maxDelayMs: 5_000,
  callTimeoutMs: 120_000,
  patienceMs,
  retryAfterMaxMs,
} as const
/** From so many keys below one prefix on, listing it is tried before asking for each. */
export const presenceListMin = 32
/** A page of 1000 listed objects costs what 12 HEAD requests cost: beyond so many objects per key asked for, asking is cheaper. */
export const presenceListedPerKeyMax = 80
/** Calls in a row, each tried as often as its policy says, after which a site is left alone. */
export const circuitFailuresMax = 3
/** The first rest of a site that fails; each next one is twice as long, up to a quarter of the hour that most jobs wait for their next run. */
export const circuitRestMs = 30_000
export const circuitRestMaxMs = 15 * 60_000
/** Calls that must succeed after a rest before a site is trusted as before: until then one failure sends it back. */
export const circuitTrialCalls = 5
/** Once enough sites hold an object, the others get this long and the time its bytes take on a line of 8 Mbit/s: then it goes on without them. */
export const placePatienceMs = 5_000
export const placePatientBytesPerSecond = MiB
/** Readers wait this long for a site's list of commits when enough others have given theirs: longer than any page takes to come. */
export const readPatienceMs = 20_000
/** The same for a site that failed lately. */
export const failingPatienceMs = 5_000
/** A run waits this long for a site's trust lists when enough others have given theirs. */
export const trustPatienceMs = 1_000
/** A run waits this long for a site that has not answered yet when enough others have; what comes later is looked at when the run ends. */
export const beginPatienceMs = 250
/** A site that has not answered once in so long since it was first asked is away. */
export const firstAnswerMs = 10_000
/** One that has answered before is silent after so long: 16 MiB at 8 Mbit/s take less. */
export const silenceMs = 20_000
/** When a run is durable, the sites that lag get this long to be completed; the next run, or repair, goes on from there. */
export const laggardPatienceMs = 60_000
/** A site that failed is asked last for so long. */
export const siteFailureMemoryMs = 5 * 60_000
/** A customer's stable id on its platform: a domain name or a uuid, with room to spare. */
export const accountBytesMax = 200
/** Entries looked at between two turns of the event loop: on a disk that seeks for each, uploads still wait less than a second. */
export const walkSliceEntries = 64
/** So much of a line of a failing program's standard error is looked at; some print a whole statement in one. */
export const stderrBytesMax = 4 * KiB
/** A program that was asked to end gets this long before it is killed. */
export const commandGraceMs = 5000
/** The first bytes of an audio file that are looked at: a WAV header with broadcast metadata in front of the sound is about this long. */
export const audioHeadBytes = 4 * KiB
/** How long a database that others have locked is waited for. */
export const sqliteBusyMs = 30_000
/** Bytes of one step of a database copy: small enough to stop soon when asked, large enough that steps do not cost. */
export const sqliteStepBytes = 16 * MiB
/** Listing extended attributes is worth this long, not a run that hangs. */
export const attributesTimeoutMs = 30 * 60_000
/** Plaintext of one segment: a piece, its headers and sums, and at most 12 % of padding. */
export const segmentBytesMax = 20 * MiB
/** The buffer a worker builds one pack in: the target, the overhead of many small segments, their padding. */
export const packBufferBytes = 24 * MiB
/** A frame shared by files too small for one of their own ends here: what a ranged read inflates to get at one of them. */
export const sharedFrameBytes = 256 * KiB
/** An age header is read whole before anything in it is authenticated. */
export const headerBytesMax = 64 * KiB
/** Recipients of one age file: post-quantum stanzas of 1.6 kB each stay below headerBytesMax. */
export const headerStanzasMax = 32
/** A file of identities or a signing key, as a person or a tool wrote it. */
export const keyFileBytesMax = 64 * KiB
/** JSON lines of one manifest part: small enough to be fetched and opened for one file. */
export const manifestBytesTarget = 8 * MiB
/** Members of one meta pack: whoever wants one account's list and remembers no places reads the whole pack. */
export const metaMembersMax = 1000
/** Partitions of one inventory part, at about 400 bytes each. */
export const inventoryLinesMax = 20_000
/** Members of one segment: as many one-byte files as fit it. */
export const segmentMembersMax = 40_000
/** How far down, and among how many files, an identity left on an agent is looked for: a key hides in a home, not in an archive. */
export const identitySearchDepth = 4
export const identitySearchEntriesMax = 20_000
/** Fetching a gap this short costs less than another request. */
export const fetchGapBytesMax = 64 * KiB
/** Segments up to this are fetched whole: their header alone would be a good part of them. */
export const wholeSegmentBytesMax = 128 * KiB
/** An age header to one recipient of either kind is shorter, so a range widened by this holds the chunk asked for. */
export const segmentHeaderBytesMax = 4 * KiB
/** Packs hashed and opened at once by a verification: at most this many times 32 MiB are in memory. */
export const packsInFlightMax = 2
/** Packs that a restore fetches from at once, all runs of each together: enough for a site's line, and what a site that freezes costs. */
export const packsRetrievedMax = 4
/** Of them together so many bytes: a whole pack for each of two workers, and the next on its way. */
export const retrievedBytesMax = 48 * MiB
/** A directory that lost more than this share of its files or bytes since the last run is an anomaly: cleaning up seldom leaves less than a tenth. */
export const shrunkShareMin = 0.9
/** The same for databases and dumps, of which no day's work takes half away. */
export const shrunkDatabaseShareMin = 0.5
/** More than this share of an archive's recent files gone or changed within a day is an anomaly: nothing that a platform does by itself. */
export const massChangeShareMin = 0.3
/** How many days back files are recent: what a platform's own retention leaves alone, a week at least. */
export const massChangeDays = 7
/** Within this the changes of several runs are counted together: who encrypts terabytes takes hours. */
export const massChangeMs = 24 * 3_600_000
/** A share of fewer files says nothing. */
export const massChangeFilesMin = 20
/** Why an anomaly is lifted, as the log keeps it. */
export const anomalyReasonMax = 1000
/** How far back rows may be held against media, and how long references to media are remembered. */
export const linkDaysMax = 90
/** Rows without their medium whose names are looked for at once: some 20 MB of names. */
export const linkNamesMax = 50_000
/** Beyond this, the clocks of a host and a site cannot both be used: as much as two sites may differ for retention. */
export const clockDifferenceMaxMs = 10 * 60_000
/** Requests in flight to a bucket: they hide a round trip across a continent at 16 MiB each, and stay far below any quota. */
export const gcsConcurrency = 8
/** A site's own setting of it goes this far: each call in flight holds up to 32 MiB. */
export const gcsConcurrencyMax = 64
/** Google asks for truncated exponential backoff; in all this waits out a minute. 32 MiB in two minutes is 270 KiB/s. */
export const gcsRetry = { attempts: 6, firstDelayMs: 500, maxDelayMs: 32_000, callTimeoutMs: 120_000, patienceMs, retryAfterMaxMs } as const
/** As for GCS: S3 takes thousands a second, other stores at least as many at once. */
export const s3Concurrency = 8
/** A site's own setting of it goes this far: each call in flight holds up to 32 MiB. */
export const s3ConcurrencyMax = 64
/** Full jitter up to 20 s waits out a minute in all, as AWS's own clients do when asked to slow down. 32 MiB in two minutes is 270 KiB/s. */
export const s3Retry = { attempts: 6, firstDelayMs: 500, maxDelayMs: 20_000, callTimeoutMs: 120_000, patienceMs, retryAfterMaxMs } as const
/** New key objects are locked so long, and again while their account lives: what an erased account has to wait for. */
export const keyLockDays = 7
/** Below this, a pack of 16 MiB would keep a site's line busy for half an hour: a setting in the wrong unit. */
export const bandwidthMin = 10 * KiB
/** A server that takes no connection within this is away. */
export const s3ConnectionTimeoutMs = 10_000
/**
 * For a reader who has other sites to turn to. What cannot answer a few bytes in 5 s is away; a pack gets 15 s and the time it takes at
 * 270 KiB/s, the slowest line that any call bears: a frozen site costs a restore a good minute, once.
 */
export const readPatience = { answerMs: 5_000, startMs: 15_000, bytesPerSecond: 270 * KiB } as const
/** Asking which of many objects a site holds takes, beyond the first answer, at most this long for each: a page of 1000 in 5 s. */
export const holdingMsPerKey = 5
/** Read from a pack to measure a site whose speed is not known: long enough to tell a line from its delay, and free of cost anywhere. */
export const speedProbeBytes = 1 * MiB
/** Fewer bytes than this say nothing of a site's speed. */
export const speedBytesMin = 256 * KiB
/** A speed measured longer ago was measured on another line. */
export const speedMemoryMs = 30 * 86_400_000
/** What a plan reckons with where nothing could be measured: a modest disk, a modest line. */
export const assumedBytesPerSecond = 60 * MiB
export const assumedFilesPerSecond = 2000
/** A cheaper site is much slower where it takes this many times as long as the fastest, and this much longer at least. */
export const muchSlowerTimes = 3
export const muchSlowerSeconds = 10 * 60
/** Going back to a site that failed may cost a wait like the first: it must save so many seconds, or so much money (in any currency). */
export const returnSavesSeconds = 10 * 60
export const returnSavesAmount = 1
/** A signature of SSH by an ed25519 key, its namespace and a token's application included, has about 300 bytes. */
export const sshSignatureBytesMax = 4 * KiB
/** What people are asked to sign: one line that a person can read. */
export const statementBytesMax = 8 * KiB
/** Signatures of one approval: two people must sign, more may. */
export const approvalSignaturesMax = 16
/** From the asking to the recording of an approval: people have weekends, and what was approved long ago may no longer be meant. */
export const approvalValidMs = 7 * 24 * 3_600_000
/** What was on its way when the root removed its author, or when it lapsed, may still arrive. */
export const removalGraceMs = 24 * 3_600_000
/** Objects that upkeep asks the sites for at once: their names take some megabytes, and a folder of a day is listed once. */
export const upkeepPortionMax = 20_000
/** So many objects in a row that a site lists and does not give back: it is the site that is ill, and not they. */
export const unreadInARowMax = 3
/** Upkeep has no use for an answer that leaves a site out: one that is slow is waited for as long as its own retries take, below a day. */
export const upkeepPatienceMs = 24 * 3_600_000
/** A database server that answers at all answers within this; also what pg_dump is given to connect. */
export const databaseConnectMs = 30_000
/** MariaDB makes writers queue behind who waits for a lock, so no wait is long; between two tries they get as long to go on. */
export const mariadbLockWaitSeconds = 3
export const mariadbLockTries = 5
/** A reader that stands still while the sites are slow keeps its connection, and the moment it sees, for a week. */
export const mariadbPatienceSeconds = 7 * 86_400
/** What a server says of all its tables; 10,000 tables of 60 columns take a quarter of it. */
export const mariadbAnswerBytesMax = 256 * MiB
/** A statement that was ended stops within this, or its connection is given up. */
export const mariadbSettleMs = 10_000
/** How long a table's exclusive lock is waited for: an ALTER TABLE in production is over by then, or a person must look. */
export const databaseLockWaitMs = 5 * 60_000
/** A connection on which nothing came for this long is probed, so that a server that vanished in the middle of a table is noticed. */
export const databaseKeepAliveMs = 60_000
/** Memory of the server for one sort, per reader; its default of 4 MB sends the sort of a million rows to disk in many runs. */
export const postgresSortMemory = "64MB"
/** A snapshot is begun again when tables came or went while it began: five in a row is not chance. */
export const snapshotAttemptsMax = 5
/** Tables or sequences named in one statement: their names make it at most 64 KB. */
export const namesPerStatementMax = 400
/** A dump that takes longer holds back the server's cleaning up for longer than a server should bear. */
export const dumpTimeoutMs = 24 * 3_600_000
/** Call records that a search has on disk at once: room that any host has, and large enough that fetching is not done in crumbs. */
export const traceBatchBytes = 256 * MiB
/** Call records that are given back at once, as they lie on disk: in memory they take three times as much. */
export const cdrPartBytes = 32 * MiB
/** Into so many files they are sorted at most, all of them open: beyond 8 GiB the parts grow. */
export const cdrPartsMax = 256
/** Entries of a tree that a look at a source judges it by; a run looks at all. */
export const sourceSampleMax = 2000

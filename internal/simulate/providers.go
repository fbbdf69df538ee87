package simulate

// providerSpec describes one mailbox provider or filter. Weights are relative.
type providerSpec struct {
	name    string
	domains []weighted // recipient domains
	mx      []string   // host names; {d} is the domain, {dd} the domain with dashes, {n} a number made from it
	perHost bool       // the hosts belong to one domain each (hosted mail)
	v6      bool
	rollup  string // MX rollup name, empty for queues by domain
	esmtp   string
	tls     []weighted // "protocol cipher", "" for no TLS

	deferral, bounce int // how often compared to the average, 100 = average
	async            int // late bounces compared to the average
	fbl              string
	fblAgent         string
	fblWeight        int

	ok, soft, hard []replySpec
}

type weighted struct {
	s string
	w int
}

// replySpec is weight, text, category and, where the text carries none, the status.
type replySpec struct {
	w              int
	text, category string
	status         string
}

const (
	tls13  = "TLSv1.3 TLS_AES_256_GCM_SHA384"
	tls13b = "TLSv1.3 TLS_AES_128_GCM_SHA256"
	tls12  = "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"
	tls12b = "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256"
	tls12c = "TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305"

	bad      = "bad-mailbox"
	inactive = "inactive-mailbox"
	quota    = "quota-issues"
	spam     = "spam-related"
	policy   = "policy-related"
	other    = "other"
	content  = "content-related"
	sender_  = "invalid-sender"
	virus    = "virus-related"
	badConf  = "bad-configuration"
	badConn  = "bad-connection"
	noAnswer = "no-answer-from-host"
	relaying = "relaying-issues"
	protocol = "protocol-errors"
	badDom   = "bad-domain"
	routing  = "routing-errors"
	expired  = "message-expired"
	success  = "success"
)

var modern = []weighted{{tls13, 80}, {tls12, 18}, {"", 2}}

// hostedDomains are the small organisations whose mail the hosting and filtering services take.
var hostedDomains = map[string][]string{
	"google-workspace": {"kestrel-logistics.example", "oakandfir.example", "helio-studio.example", "brightwave.example", "northquay.example", "lumen-arts.example", "sandstone-legal.example", "paperkite.example"},
	"microsoft365":     {"halvorsen-group.example", "castell-engineering.example", "meridian-health.example", "stadtwerke-altfeld.example", "port-of-ravnsby.example", "ostrava-steel.example", "valmont-assurance.example", "contoso-retail.example", "greylock-schools.example"},
	"proofpoint":       {"atlas-bank.example", "norrland-energi.example", "pacific-mutual.example", "triton-pharma.example", "unity-airways.example"},
	"mimecast":         {"harcourt-partners.example", "thames-lettings.example", "boland-wines.example", "redgum-mining.example"},
	"barracuda":        {"ridgeway-college.example", "tri-county-clinic.example", "summit-homes.example", "delmarva-auto.example"},
	"selfhosted":       {"fjellhytte.example", "moulin-vert.example", "bücher-lang.example", "steinmetz-ofenbau.example", "casa-aurelia.example", "datapond.example", "uni-lindau.example", "rivermead-parish.example", "vinyl-corner.example", "okna-praha.example"},
	"none":             {"gmai1.example", "hotmial.example", "yaho0.example", "outlok.example"},
}

// providerSpecs is the world's map of destinations. The index is stable: adding a provider at the end keeps addresses.
var providerSpecs = []struct {
	weight int
	providerSpec
}{
	{300, providerSpec{
		name: "gmail", domains: []weighted{{"gmail.com", 97}, {"googlemail.com", 3}}, v6: true,
		mx:    []string{"gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com", "alt2.gmail-smtp-in.l.google.com"},
		esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,SMTPUTF8",
		tls:   []weighted{{tls13, 99}, {tls12, 1}}, deferral: 80, bounce: 80, async: 10,
		ok: []replySpec{{1, "250 2.0.0 OK  {now} {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", success, ""}},
		soft: []replySpec{
			{50, "421-4.7.28 Mail from your address block [{net24}] is arriving above its usual 421-4.7.28 volume, so it is being slowed down for now. For the limits see 421 4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", spam, ""},
			{14, "450-4.2.1 This mailbox is getting mail faster than it may. Send again later; see 450 4.2.1  https://support.google.com/mail/?p=ReceivingRate {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", quota, ""},
			{16, "452-4.2.2 The mailbox has no space left at present. Ask its owner to look at 452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", quota, ""},
			{12, "421-4.7.0 [{ip}] Deferred because of an unusual pattern from this host. Details: 421 4.7.0  https://support.google.com/mail/answer/81126 {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", policy, ""},
			{8, "451 4.3.0 A temporary fault on our side, send it again. {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", other, ""},
		},
		hard: []replySpec{
			{58, "550-5.1.1 There is no account under the address you wrote to. Look for 550-5.1.1 typing errors or stray spaces in it. More under 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", bad, ""},
			{14, "550 5.2.1 The account you wrote to is disabled. See https://support.google.com/mail/?p=DisabledUser {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", inactive, ""},
			{10, "552-5.2.2 The recipient's storage is full and mail can no longer be taken. See 552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", quota, ""},
			{9, "550-5.7.1 [{ip}      12] This looks like mail nobody asked for, so it was 550-5.7.1 stopped to protect our users. More information: 550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", spam, ""},
			{4, "550-5.7.1 [{ip}      19] Stopped because the sending domain's reputation is very 550-5.7.1 low. See 550 5.7.1  https://support.google.com/mail/answer/188131 {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", spam, ""},
			{3, "550-5.7.26 The sender could not be authenticated: DKIM = did not pass, SPF [{from}] with ip: [{ip}] = did not pass. See 550 5.7.26  https://support.google.com/mail/answer/81126#authentication {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", policy, ""},
			{2, "550-5.7.25 [{ip}] The sending address has no matching PTR record. See 550 5.7.25  https://support.google.com/mail/answer/81126#ip-practices {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", policy, ""},
		}}},
	{95, providerSpec{
		name: "google-workspace", perHost: true, v6: true,
		mx:    []string{"aspmx.l.google.com", "alt1.aspmx.l.google.com"},
		esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,SMTPUTF8",
		tls:   []weighted{{tls13, 99}, {tls12, 1}}, deferral: 60, bounce: 110, async: 60,
		ok: []replySpec{{1, "250 2.0.0 OK  {now} {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", success, ""}},
		soft: []replySpec{
			{40, "421-4.7.28 Your block [{net24}] sends more than is usual for it and is slowed 421 4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", spam, ""},
			{20, "452 4.2.2 No space left in this mailbox at present. https://support.google.com/mail/?p=OverQuotaTemp {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", quota, ""},
		},
		hard: []replySpec{
			{55, "550-5.1.1 No such account at {domain}. Check the spelling; see 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", bad, ""},
			{15, "550 5.2.1 This account is suspended. https://support.google.com/mail/?p=DisabledUser {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", inactive, ""},
			{8, "550 5.7.1 A rule of {domain} rejects this mail. {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gcdp", policy, ""},
			{4, "552-5.7.0 The message carries a file type that we do not let through. See 552 5.7.0  https://support.google.com/mail/?p=BlockedMessage {an:14}-{hex:11}si{dig:7}{an:3}.{dig:3} - gsmtp", virus, ""},
		}}},
	{150, providerSpec{
		name: "microsoft", domains: []weighted{{"hotmail.com", 42}, {"outlook.com", 30}, {"live.com", 10}, {"msn.com", 6}, {"hotmail.fr", 7}, {"outlook.de", 5}},
		mx:     []string{"outlook-com.olc.protection.outlook.com", "hotmail-com.olc.protection.outlook.com", "live-com.olc.protection.outlook.com"},
		rollup: "hotmail", esmtp: "SIZE,PIPELINING,DSN,ENHANCEDSTATUSCODES,STARTTLS,8BITMIME,BINARYMIME,CHUNKING,SMTPUTF8",
		tls: []weighted{{tls13, 70}, {tls12, 30}}, deferral: 130, bounce: 100, async: 10,
		fbl: "jmrp", fblAgent: "", fblWeight: 40,
		ok: []replySpec{{1, "250 2.6.0 <{hex:16}@{from}> [InternalId={dig:14}, Hostname={AN:2}{dig:1}PR{dig:2}MB{dig:4}.eurprd{dig:2}.prod.outlook.com] {dig:5} bytes in 0.{dig:3}, {dig:2}.{dig:3} KB/sec Queued for storage", success, ""}},
		soft: []replySpec{
			{30, "451 4.7.650 The server with address [{ip}] is limited for a while because of its reputation. Help is at https://postmaster.live.com [{AN:3}.eop-eur{dig:2}.prod.protection.outlook.com {now}] (S775)", policy, ""},
			{24, "421 RP-001 ({mx}) Part of the mail from [{ip}] is held off: the rate is above what its reputation allows. See https://postmaster.live.com", policy, "4.0.0"},
			{20, "451 4.7.500 Server busy. Send again later from [{ip}]. (S77719) [{AN:6}.eop-nam{dig:2}.prod.protection.outlook.com]", policy, ""},
			{10, "452 4.5.3 Recipients beyond the limit, the rest in another transaction (AS780090) [{AN:3}.prod.protection.outlook.com]", policy, ""},
			{8, "421 RP-003 ({mx}) Connections from [{ip}] exceed the limit for its reputation.", policy, "4.0.0"},
		},
		hard: []replySpec{
			{56, "550 5.5.0 The mailbox asked for cannot be used (S2017062302). [{AN:2}{dig:1}EUR{dig:2}FT{dig:3}.eop-EUR{dig:2}.prod.protection.outlook.com {now}]", bad, ""},
			{14, "552 5.2.2 The mailbox of this recipient is full [{AN:3}PR{dig:2}MB{dig:4}.prod.outlook.com]", quota, ""},
			{12, "550 5.7.1 Mail from [{ip}] is not taken: part of this network stands on our block list (S3150). Details: http://mail.live.com/mail/troubleshooting.aspx#errors [{AN:3}.prod.protection.outlook.com]", spam, ""},
			{5, "550 5.7.1 Mail from [{ip}] is not taken, the network is on our block list (S3140). Details: http://mail.live.com/mail/troubleshooting.aspx#errors [{AN:3}.prod.protection.outlook.com]", spam, ""},
			{4, "550 SC-001 ({mx}) Not delivered for reasons of policy; the content or the IP looks like spam.", spam, "5.0.0"},
			{3, "550 DY-001 ({mx}) Not delivered: [{ip}] looks like a dynamic address.", policy, "5.0.0"},
			{3, "550 OU-001 ({mx}) [{ip}] is listed by Spamhaus. See https://check.spamhaus.org", spam, "5.0.0"},
			{3, "550 5.7.515 Access refused: {from} falls short of the authentication level that bulk senders need. [{AN:3}.prod.protection.outlook.com]", policy, ""},
		}}},
	{105, providerSpec{
		name: "microsoft365", perHost: true, v6: true, mx: []string{"{dd}.mail.protection.outlook.com"},
		esmtp: "SIZE,PIPELINING,DSN,ENHANCEDSTATUSCODES,STARTTLS,8BITMIME,BINARYMIME,CHUNKING,SMTPUTF8",
		tls:   []weighted{{tls13, 75}, {tls12, 25}}, deferral: 90, bounce: 120, async: 200,
		ok: []replySpec{{1, "250 2.6.0 <{hex:16}@{from}> [InternalId={dig:14}, Hostname={AN:2}{dig:1}P{dig:3}MB{dig:4}.{AN:4}P{dig:3}.PROD.OUTLOOK.COM] {dig:5} bytes in 0.{dig:3}, {dig:2}.{dig:3} KB/sec Queued for delivery", success, ""}},
		soft: []replySpec{
			{40, "451 4.7.500 Server busy. Wait before sending again from [{ip}]. (AS77712360) [{AN:8}.{AN:3}P{dig:3}.PROD.OUTLOOK.COM]", policy, ""},
			{20, "451 4.3.2 Temporary server error. Send again later. PRX{dig:1} [{AN:8}.prod.outlook.com]", other, ""},
			{20, "451 4.4.3 Temporary server error; the recipient lookup did not answer. ATTR{dig:1} [{AN:8}.prod.outlook.com]", routing, ""},
			{12, "450 4.7.25 The sending address [{ip}] has no reverse entry that fits [{AN:8}.prod.protection.outlook.com]", policy, ""},
		},
		hard: []replySpec{
			{46, "550 5.4.1 Recipient address rejected: Access denied. [{AN:8}.eurprd{dig:2}.prod.outlook.com {now} {hex:16}]", bad, ""},
			{24, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; no recipient {rcpt} found by SMTP address lookup", bad, ""},
			{7, "550 5.7.606 Access denied, banned sending IP [{ip}]. To ask for delisting go to https://sender.office.com/ AS(1430) [{AN:8}.prod.protection.outlook.com]", spam, ""},
			{6, "550 5.7.509 Access denied, the sending domain {from} does not pass DMARC and asks for reject. [{AN:8}.prod.outlook.com]", policy, ""},
			{6, "550 5.7.1 TRANSPORT.RULES.RejectMessage; the organisation's rules reject this mail [{AN:8}.prod.outlook.com]", policy, ""},
			{5, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; group {rcpt} takes mail from inside only", policy, ""},
			{4, "552 5.2.2 STOREDRV.Deliver; mailbox of {local} is full", quota, ""},
		}}},
	{95, providerSpec{
		name: "yahoo", domains: []weighted{{"yahoo.com", 50}, {"aol.com", 16}, {"yahoo.co.uk", 8}, {"yahoo.fr", 7}, {"ymail.com", 4}, {"att.net", 6}, {"rocketmail.com", 2}},
		mx:     []string{"mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net", "mta7.am0.yahoodns.net"},
		rollup: "yahoo", esmtp: "PIPELINING,SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES", tls: modern, deferral: 200, bounce: 90, async: 5,
		fbl: "arf", fblAgent: "Yahoo!-Mail-Feedback/2.0", fblWeight: 100,
		ok: []replySpec{{1, "250 ok dirdel", success, "2.0.0"}, {1, "250 ok {now} {dig:2}.atl1", success, "2.0.0"}},
		soft: []replySpec{
			{45, "421 4.7.0 [TSS04] Mail from {ip} is put off for a time because of unexpected volume or complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", policy, ""},
			{12, "421 4.7.0 [TSS05] Mail from {ip} is put off because of user complaints - 4.16.55.2; see https://postmaster.yahooinc.com/error-codes", policy, ""},
			{10, "421 4.7.0 [TS01] Mail from {ip} is put off for a time because of user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", policy, ""},
			{10, "451 4.7.1 [GL01] Mail from {ip} is greylisted, send again later; see https://postmaster.yahooinc.com/error-codes", other, ""},
			{8, "451 Resources are short for the moment, send again later [#4.16.5].", other, "4.0.0"},
			{5, "421 4.7.1 [TS03] Everything from {ip} is refused for good; retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes", spam, ""},
		},
		hard: []replySpec{
			{54, "554 delivery error: dd No account of this name at {domain} [-5] - mta{dig:4}.mail.{an:2}{dig:1}.yahoo.com", bad, "5.0.0"},
			{18, "554 delivery error: dd The account is not in use any more [-20] - mta{dig:4}.mail.{an:2}{dig:1}.yahoo.com", inactive, "5.0.0"},
			{8, "552 1 Not enough room in the mailbox for this message [-14] - mta{dig:4}.mail.{an:2}{dig:1}.yahoo.com", quota, "5.0.0"},
			{6, "554 5.7.9 Message refused for reasons of policy [PH01]. See https://postmaster.yahooinc.com/error-codes", policy, ""},
			{5, "553 5.7.2 [TSS09] Everything from {ip} is refused for good; retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes", spam, ""},
			{4, "553 5.7.1 [BL21] Connections are not taken from {ip}, a Spamhaus list names it; see http://postmaster.yahoo.com/errors/550-bl23.html", spam, ""},
			{3, "554 5.7.9 Message not taken: {from} has a DMARC policy of reject and this mail fails it. See https://postmaster.yahooinc.com/error-codes", policy, ""},
		}}},
	{42, providerSpec{
		name: "apple", domains: []weighted{{"icloud.com", 70}, {"me.com", 20}, {"mac.com", 10}},
		mx:    []string{"mx01.mail.icloud.com", "mx02.mail.icloud.com"},
		esmtp: "PIPELINING,SIZE,ETRN,STARTTLS,ENHANCEDSTATUSCODES,8BITMIME,DSN,SMTPUTF8", tls: []weighted{{tls13, 60}, {tls12, 40}}, deferral: 70, bounce: 90, async: 5,
		ok: []replySpec{{1, "250 2.0.0 Ok: queued as {AN:11}", success, ""}},
		soft: []replySpec{
			{30, "421 4.7.0 [HCM1] Mail from {ip} is being limited for now. See https://support.apple.com/en-us/HT204137", policy, ""},
			{20, "450 4.2.2 {rcpt}: user is over quota", quota, ""},
			{10, "451 4.7.1 [BS02] Too many messages from {ip}, send the rest later. See https://support.apple.com/en-us/HT204137", policy, ""},
		},
		hard: []replySpec{
			{55, "550 5.1.1 <{rcpt}>: inactive or unknown account, user lookup gave nothing", bad, ""},
			{14, "552 5.2.2 <{rcpt}>: user is over quota", quota, ""},
			{8, "550 5.7.1 [CS01] Message refused by local policy. See https://support.apple.com/en-us/HT204137", spam, ""},
			{5, "550 5.7.1 [HM08] Mail from {ip} is blocked. See https://support.apple.com/en-us/HT204137", spam, ""},
			{4, "550 5.7.1 [HME1] Mail refused, {from} fails its own DMARC policy. See https://support.apple.com/en-us/HT204137", policy, ""},
		}}},
	{20, providerSpec{
		name: "comcast", domains: []weighted{{"comcast.net", 100}},
		mx:    []string{"mx1a1.comcast.net", "mx2a1.comcast.net"},
		esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,DSN", tls: []weighted{{tls12, 90}, {tls13, 10}}, deferral: 110, bounce: 100, async: 10,
		fbl: "arf", fblAgent: "ReturnPathFBL/1.0", fblWeight: 60,
		ok: []replySpec{{1, "250 2.0.0 {an:10} mail accepted for delivery", success, ""}},
		soft: []replySpec{
			{30, "421 4.2.0 {mx} {ip} Throttled - no sender reputation to go by yet. See http://postmaster.comcast.net/smtp-error-codes.php#RL000001", policy, ""},
			{20, "421 4.3.2 {mx} comcast Too many sessions open from {ip}. See http://postmaster.comcast.net/smtp-error-codes.php#", policy, ""},
		},
		hard: []replySpec{
			{60, "550 5.1.1 Not our Customer <{rcpt}>", bad, ""},
			{15, "550 5.2.1 Account not available <{rcpt}>", inactive, ""},
			{10, "554 {mx} comcast {ip} Blocked for sending spam. See http://postmaster.comcast.net/smtp-error-codes.php#BL000000", spam, "5.0.0"},
		}}},
	{32, providerSpec{
		name: "orange", domains: []weighted{{"orange.fr", 60}, {"wanadoo.fr", 40}},
		mx:    []string{"smtp-in.orange.fr"},
		esmtp: "PIPELINING,SIZE,ETRN,8BITMIME,STARTTLS", tls: []weighted{{tls12, 85}, {"", 15}}, deferral: 180, bounce: 100, async: 5,
		fbl: "arf", fblAgent: "SignalSpam/1.0", fblWeight: 40,
		ok: []replySpec{{1, "250 2.0.0 {an:12} mail accepted for delivery", success, ""}},
		soft: []replySpec{
			{40, "421 {mx} Service refused, too many connections from your server. OFR_104 [104]", policy, "4.0.0"},
			{25, "421 {mx} Service refused for now, send again later. OFR_999 [999]", policy, "4.0.0"},
			{15, "450 4.2.2 {mx} Mailbox full OFR_417 [417]", quota, ""},
			{10, "421 {mx} Busy, send again later OFR_505 [505]", other, "4.0.0"},
		},
		hard: []replySpec{
			{50, "550 5.1.1 {mx} {rcpt} Unknown recipient OFR_416 [416]", bad, ""},
			{14, "550 5.2.1 {mx} Mailbox closed for lack of use OFR_426 [426]", inactive, ""},
			{14, "550 5.7.1 {mx} Message taken for spam OFR_506 [506]", spam, ""},
			{8, "550 5.7.1 {mx} Server address {ip} refused, it stands on the list of spamhaus OFR_101 [101]", spam, ""},
			{5, "550 5.7.0 {mx} The DMARC policy of {from} asks to reject OFR_515 [515]", policy, ""},
		}}},
	{18, providerSpec{
		name: "free", domains: []weighted{{"free.fr", 100}}, mx: []string{"mx1.free.fr", "mx2.free.fr"},
		esmtp: "PIPELINING,SIZE,ETRN,STARTTLS,ENHANCEDSTATUSCODES,8BITMIME,DSN", tls: []weighted{{tls12, 60}, {"", 40}}, deferral: 170, bounce: 90, async: 20,
		ok: []replySpec{{1, "250 2.0.0 Ok: queued as {AN:12}", success, ""}},
		soft: []replySpec{
			{40, "451 Too many spams from your IP ({ip}), please visit http://postmaster.free.fr/", spam, "4.0.0"},
			{20, "421 Too many connections at once from {ip}", policy, "4.0.0"},
			{15, "452 4.2.2 {rcpt}: over quota", quota, ""},
		},
		hard: []replySpec{{60, "550 5.1.1 <{rcpt}>: no such mailbox here", bad, ""}, {12, "550 5.2.1 This mailbox has been inactive for too long", inactive, ""}, {8, "554 5.7.1 spam detected by the filter ({an:9})", spam, ""}}}},
	{40, providerSpec{
		name: "gmx", domains: []weighted{{"gmx.de", 42}, {"web.de", 40}, {"gmx.net", 12}, {"gmx.at", 6}},
		mx:     []string{"mx00.emig.gmx.net", "mx01.emig.gmx.net", "mx-ha02.web.de", "mx-ha03.web.de"},
		rollup: "gmx", esmtp: "8BITMIME,SIZE,STARTTLS", tls: []weighted{{tls13, 90}, {tls12, 10}}, deferral: 120, bounce: 80, async: 5,
		ok: []replySpec{{1, "250 Requested mail action okay, completed: id={an:6}-1{an:6}{dig:2}-00{an:4}", success, "2.0.0"}},
		soft: []replySpec{
			{40, "421-gmx.net (mxgmx{dig:3}) Nemesis ESMTP Service not available 421-Sending rate of this host is limited for now 421 For explanation visit https://postmaster.gmx.net/en/case?c=r0301&i=ip&v={ip}&r={an:24}", policy, "4.0.0"},
			{25, "450-Requested mail action not taken: mailbox unavailable 450-Mail from this host comes too fast 450 For explanation visit https://postmaster.gmx.net/en/case?c=r0201&i=ip&v={ip}&r={an:24}", policy, "4.0.0"},
		},
		hard: []replySpec{
			{55, "550 Requested action not taken: mailbox unavailable", bad, "5.0.0"},
			{15, "552-Requested mail action aborted: exceeded storage allocation 552 For explanation visit https://postmaster.gmx.net/en/error-messages?ip={ip}", quota, "5.0.0"},
			{8, "554-Transaction failed 554-Reject due to policy restrictions. 554 For explanation visit https://postmaster.gmx.net/en/case?c=hi&i=ip&v={ip}&r={an:24}", policy, "5.0.0"},
			{8, "554-web.de (mxweb{dig:3}) Nemesis ESMTP Service not available 554-No SMTP service 554-IP address is block listed. 554 For explanation visit https://postmaster.web.de/en/case?c=bl&i=ip&v={ip}&r={an:24}", spam, "5.0.0"},
			{4, "554-No SMTP service 554-Bad DNS PTR resource record. 554 For explanation visit https://postmaster.gmx.net/en/case?c=rdns&i=ip&v={ip}&r={an:24}", policy, "5.0.0"},
		}}},
	{18, providerSpec{
		name: "t-online", domains: []weighted{{"t-online.de", 94}, {"magenta.de", 6}}, mx: []string{"mx00.t-online.de", "mx01.t-online.de", "mx02.t-online.de"},
		esmtp: "SIZE,8BITMIME,STARTTLS,PIPELINING", tls: []weighted{{tls13, 80}, {tls12, 20}}, deferral: 90, bounce: 100, async: 5,
		ok:   []replySpec{{1, "250 2.0.0 {an:6}-{an:6}-0 Message accepted.", success, ""}},
		soft: []replySpec{{30, "421 4.7.0 Too many mails in a row from {ip}, come back later", policy, ""}, {20, "452 4.2.2 {rcpt} is over its quota", quota, ""}},
		hard: []replySpec{{60, "550-5.1.1 Address unknown: 550 5.1.1 {rcpt}", bad, ""}, {12, "552 5.2.2 Mailbox of {local} is over quota", quota, ""}, {12, "554 IP={ip} - A problem occurred. Ask your postmaster to write to tobr@rx.t-online.de to have the block removed.", policy, "5.0.0"}}}},
	{20, providerSpec{
		name: "libero", domains: []weighted{{"libero.it", 70}, {"virgilio.it", 20}, {"inwind.it", 10}}, mx: []string{"smtp-in.libero.it"},
		esmtp: "SIZE,8BITMIME,STARTTLS,PIPELINING", tls: []weighted{{tls12, 80}, {"", 20}}, deferral: 150, bounce: 110, async: 20,
		ok:   []replySpec{{1, "250 {an:20} mail accepted for delivery", success, "2.0.0"}},
		soft: []replySpec{{30, "421 {mx} [LIB_104] too many connections from {ip}, send again later", policy, "4.0.0"}, {15, "452 4.2.2 [LIB_417] mailbox of <{rcpt}> full", quota, ""}},
		hard: []replySpec{{50, "550 5.1.1 <{rcpt}> [LIB_416] recipient does not exist", bad, ""}, {15, "552 [LIB_417] mailbox of <{rcpt}> full", quota, "5.0.0"}, {10, "550 5.7.1 [LIB_102] message judged to be spam", spam, ""}}}},
	{20, providerSpec{
		name: "mail.ru", domains: []weighted{{"mail.ru", 70}, {"bk.ru", 15}, {"inbox.ru", 15}}, mx: []string{"mxs.mail.ru"},
		esmtp: "SIZE,8BITMIME,DSN,SMTPUTF8,STARTTLS", tls: modern, deferral: 80, bounce: 120, async: 5, fbl: "arf", fblAgent: "Mail.Ru FBL", fblWeight: 30,
		ok:   []replySpec{{1, "250 OK id=1{an:5}-00000000{an:3}-{an:4}", success, "2.0.0"}},
		soft: []replySpec{{30, "451 Too many letters from {ip}, send again later. See https://help.mail.ru/developers/mailing_rules", policy, "4.0.0"}, {10, "452 4.2.2 The mailbox is full", quota, ""}},
		hard: []replySpec{{50, "550 This mailbox does not exist. Please check the address: {rcpt}", bad, "5.0.0"}, {20, "550 Message was not taken -- invalid mailbox. Local mailbox {rcpt} is unavailable: account is disabled", inactive, "5.0.0"}, {10, "550 spam message rejected. See https://help.mail.ru/notspam-support/id?c={an:40}", spam, "5.0.0"}}}},
	{14, providerSpec{
		name: "qq", domains: []weighted{{"qq.com", 90}, {"foxmail.com", 10}}, mx: []string{"mx1.qq.com", "mx2.qq.com", "mx3.qq.com"},
		esmtp: "PIPELINING,STARTTLS,SIZE,8BITMIME", tls: []weighted{{tls12, 100}}, deferral: 180, bounce: 150, async: 5,
		ok:   []replySpec{{1, "250 OK: queued as.", success, "2.0.0"}},
		soft: []replySpec{{40, "451 Connection frequency limited [{an:20} IP: {ip}]. https://service.mail.qq.com/detail/122/569", policy, "4.0.0"}, {20, "450 Mail from {ip} is suspended for a while [{an:20}]. https://service.mail.qq.com/detail/122/72", spam, "4.0.0"}},
		hard: []replySpec{{40, "550 Mailbox unavailable or access denied [{an:20} IP: {ip}]. https://service.mail.qq.com/detail/122/166", bad, "5.0.0"}, {20, "550 The recipient may contain a non-existent account, please check the recipient address. https://service.mail.qq.com/detail/122/169", bad, "5.0.0"}, {15, "550 Mail content denied [{an:20} IP: {ip}]. https://service.mail.qq.com/detail/122/170", spam, "5.0.0"}}}},
	{12, providerSpec{
		name: "163", domains: []weighted{{"163.com", 60}, {"126.com", 30}, {"yeah.net", 10}}, mx: []string{"163mx01.mxmail.netease.com", "163mx02.mxmail.netease.com"},
		esmtp: "PIPELINING,AUTH LOGIN PLAIN,STARTTLS,8BITMIME", tls: []weighted{{tls12, 80}, {"", 20}}, deferral: 150, bounce: 150, async: 5,
		ok:   []replySpec{{1, "250 Mail OK queued as mx{dig:2},{an:24} {now}", success, "2.0.0"}},
		soft: []replySpec{{40, "451 RP:TRC {ip} 163 mx{dig:2},{an:20} {now}, too many recipients in a row http://mail.163.com/help/help_spam_16.htm", policy, "4.0.0"}, {20, "451 HL:ITC {ip} mx{dig:2},{an:20} {now} host limited for now", policy, "4.0.0"}},
		hard: []replySpec{{45, "550 User not found: {rcpt}", bad, "5.0.0"}, {20, "554 DT:SPM 163 mx{dig:2},{an:20} {now} http://mail.163.com/help/help_spam_16.htm?ip={ip}&hostid=mx{dig:2}&time={now}", spam, "5.0.0"}, {8, "553 MI:SFQ 163 mx{dig:2},{an:20} {now} sender is rejected", sender_, "5.0.0"}}}},
	{12, providerSpec{
		name: "naver", domains: []weighted{{"naver.com", 100}}, mx: []string{"mx1.naver.com", "mx2.naver.com", "mx3.naver.com"},
		esmtp: "PIPELINING,SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES", tls: modern, deferral: 90, bounce: 90, async: 5,
		ok:   []replySpec{{1, "250 2.0.0 OK {an:22} - nsmtp", success, ""}},
		soft: []replySpec{{30, "421 4.3.2 Your ip {ip} is limited for now {an:22} - nsmtp", policy, ""}},
		hard: []replySpec{{50, "550 5.1.1 No such user {an:22} - nsmtp", bad, ""}, {12, "550 5.2.1 Dormant user {an:22} - nsmtp", inactive, ""}, {8, "550 5.7.1 Message refused as spam {an:22} - nsmtp", spam, ""}}}},
	{16, providerSpec{
		name: "uol", domains: []weighted{{"uol.com.br", 70}, {"bol.com.br", 30}}, mx: []string{"mx.uol.com.br", "mx.bol.com.br"},
		esmtp: "PIPELINING,SIZE,ETRN,STARTTLS,ENHANCEDSTATUSCODES,8BITMIME", tls: []weighted{{tls12, 90}, {"", 10}}, deferral: 170, bounce: 120, async: 20, fbl: "arf", fblAgent: "UOL FBL", fblWeight: 20,
		ok:   []replySpec{{1, "250 2.0.0 Ok: queued as {AN:10}", success, ""}},
		soft: []replySpec{{40, "450 4.7.1 <{rcpt}>: Recipient address rejected: greylisted, send again in 300 seconds", policy, ""}, {15, "452 4.2.2 Mailbox of <{rcpt}> full", quota, ""}},
		hard: []replySpec{{50, "550 5.1.1 <{rcpt}>: Recipient address rejected: no such mailbox", bad, ""}, {15, "550 5.2.1 <{rcpt}>: account suspended", inactive, ""}, {8, "554 5.7.1 <{helo}[{ip}]>: Client host rejected by policy", policy, ""}}}},
	{20, providerSpec{
		name: "proofpoint", perHost: true, mx: []string{"mxa-00{n}01.gslb.pphosted.com", "mxb-00{n}01.gslb.pphosted.com"},
		esmtp: "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,DSN", tls: modern, deferral: 100, bounce: 140, async: 150,
		ok:   []replySpec{{1, "250 2.0.0 {an:10}-1 Message accepted for delivery", success, ""}},
		soft: []replySpec{{30, "451 4.7.1 Service not available for {ip} - send again later [PDR] {an:10}-1", policy, ""}, {20, "421 4.3.2 Too many sessions from {ip}", policy, ""}},
		hard: []replySpec{{45, "550 5.1.1 <{rcpt}>... User unknown", bad, ""}, {20, "554 Blocked - see https://ipcheck.proofpoint.com/?ip={ip}", spam, "5.0.0"}, {8, "554 5.7.0 Message refused by the policy of {domain} {an:10}-1", policy, ""}, {4, "552 5.3.4 The message is larger than {domain} takes", content, ""}}}},
	{16, providerSpec{
		name: "mimecast", perHost: true, mx: []string{"eu-smtp-inbound-1.mimecast.com", "eu-smtp-inbound-2.mimecast.com"},
		esmtp: "SIZE,STARTTLS,8BITMIME,PIPELINING", tls: modern, deferral: 140, bounce: 160, async: 100,
		ok:   []replySpec{{1, "250 SmtpThread-{dig:7}-{now}{dig:3}@eu-mta-{dig:2}.eu.mimecast.lan Received OK [{AN:22}.uk{dig:3}]", success, "2.0.0"}},
		soft: []replySpec{{40, "451 Internal resources are short for the moment - https://community.mimecast.com/docs/DOC-1369#451 [{AN:22}.uk{dig:3}]", other, "4.0.0"}, {20, "451 Greylisted, send again after a minute - https://community.mimecast.com/docs/DOC-1369#451 [{AN:22}.uk{dig:3}]", policy, "4.0.0"}},
		hard: []replySpec{{40, "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [{AN:22}.uk{dig:3}]", bad, "5.0.0"}, {15, "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550 [{AN:22}.uk{dig:3}]", spam, "5.0.0"}, {10, "550 Rejected by header based Anti-Spoofing policy: {from} - https://community.mimecast.com/docs/DOC-1369#550 [{AN:22}.uk{dig:3}]", policy, "5.0.0"}, {5, "554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554 [{AN:22}.uk{dig:3}]", policy, "5.0.0"}}}},
	{14, providerSpec{
		name: "barracuda", perHost: true, mx: []string{"d{n}a.ess.barracudanetworks.com", "d{n}b.ess.barracudanetworks.com"},
		esmtp: "SIZE,STARTTLS,PIPELINING,8BITMIME,ENHANCEDSTATUSCODES", tls: modern, deferral: 120, bounce: 150, async: 100,
		ok:   []replySpec{{1, "250 Ok: queued as {AN:12}", success, "2.0.0"}},
		soft: []replySpec{{30, "450 4.7.1 The recipient's server does not answer, send again later {an:8}", other, ""}, {20, "421 4.4.2 Rate limit for {ip} reached, closing", policy, ""}},
		hard: []replySpec{{40, "550 permanent failure for one or more recipients ({rcpt}:550 5.1.1 no such mailbox)", bad, "5.0.0"}, {15, "550 permanent failure for one or more recipients ({rcpt}:blocked)", policy, "5.0.0"}, {15, "554 Service unavailable; Client host [{helo}] blocked using Barracuda Reputation; https://www.barracudanetworks.com/reputation/?pr=1&ip={ip} cuda_nsu", spam, "5.0.0"}}}},
	{45, providerSpec{
		name: "selfhosted", perHost: true, v6: true, mx: []string{"mail.{d}"},
		esmtp: "PIPELINING,SIZE,ETRN,STARTTLS,ENHANCEDSTATUSCODES,8BITMIME,DSN,SMTPUTF8,CHUNKING",
		tls:   []weighted{{tls13, 55}, {tls12, 20}, {tls12b, 8}, {tls13b, 6}, {tls12c, 4}, {"", 7}}, deferral: 170, bounce: 220, async: 500,
		ok: []replySpec{{60, "250 2.0.0 Ok: queued as {AN:11}", success, ""}, {20, "250 OK id=1{an:5}-{an:6}-{an:2}", success, "2.0.0"}, {20, "250 2.0.0 {an:14} Message accepted for delivery", success, ""}},
		soft: []replySpec{
			{40, "450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, see http://postgrey.example/help/{domain}.html", policy, ""},
			{15, "451 4.7.1 Greylisting in action, please come back in {dig:3} seconds", policy, ""},
			{12, "452 4.3.1 Insufficient system storage", badConf, ""},
			{10, "451 4.3.0 <{rcpt}>: temporary lookup failure", badConf, ""},
			{10, "450 4.7.25 Client host rejected: no host name found for [{ip}]", policy, ""},
			{8, "450 4.1.8 <{from}>: Sender address rejected: Domain not found", sender_, ""},
			{5, "421 {mx} Error: timeout exceeded, closing", badConn, "4.4.2"},
		},
		hard: []replySpec{
			{36, "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown in local recipient table", bad, ""},
			{12, "550 5.1.1 no mailbox here by that name: <{rcpt}> in \"RCPT TO:<{rcpt}>\"", bad, ""},
			{8, "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{ip}", spam, ""},
			{8, "554 5.7.1 <{rcpt}>: Relay access denied", relaying, ""},
			{6, "552 5.2.2 <{rcpt}>: mailbox size limit, user is over quota", quota, ""},
			{5, "550 5.7.1 Message scored 11.{dig:1} points, \"SPAM\" according to the filter, refused", spam, ""},
			{3, "552 5.3.4 Message size exceeds fixed limit", content, ""},
			{3, "554 5.6.0 Message lacks a valid Date header, refused", content, ""},
			{2, "550 5.7.1 Virus \"Sim.Test.{dig:4}\" found, refused", virus, ""},
			{2, "503 5.5.1 Error: nested MAIL command", protocol, ""},
			{2, "554 5.4.6 Hop count exceeded - possible mail loop", routing, ""},
		}}},
	{3, providerSpec{name: "none", perHost: true, tls: []weighted{{"", 1}}, bounce: 100, deferral: 100, async: 0}},
}

// Replies that no remote host gives.
var (
	localDomainReplies = []replySpec{
		{60, "", badDom, "5.1.2"},
		{25, "", routing, "5.4.4"},
		{15, "", routing, "5.4.3"},
	}
	bounceQueueReplies = []replySpec{
		{50, "x-pmta;bounce-queue;reply:550 5.7.1 Mail from {ip} is blocked until the block is lifted ({an:8})", spam, "5.7.1"},
		{30, "x-pmta;bounce-queue;reply:554 5.7.1 Service refused, {ip} is listed", spam, "5.7.1"},
		{20, "x-pmta;bounce-queue;reply:553 5.7.2 [TSS09] Everything from {ip} is refused", spam, "5.7.2"},
	}
	adminReplies = []replySpec{{1, "x-pmta;deleted by administrator", other, "5.0.0"}}
	queueReplies = []replySpec{
		{45, "", noAnswer, "4.4.1"},
		{15, "", badConn, "4.4.2"},
		{20, "421 4.7.0 {mx} too many connections from {ip}, closing", policy, ""},
		{10, "421 {mx} Service not available, closing transmission channel", other, "4.3.2"},
		{10, "554 {mx} no SMTP service here for {ip}", policy, "4.7.0"},
	}
	// What the bodies of late bounces and status messages report.
	asyncBounceReplies = []replySpec{
		{45, "550 5.1.1 <{rcpt}> no such local recipient: <{rcpt}> in \"RCPT TO:<{rcpt}>\"", bad, ""},
		{20, "552 5.2.2 mailbox of {local} is full", quota, ""},
		{15, "550 5.2.1 account of {local} was closed", inactive, ""},
		{10, "550 5.7.1 the spam filter behind the gateway refused {hex:8}", spam, ""},
		{10, "554 5.4.6 forwarding from {rcpt} loops back to itself", routing, ""},
	}
	asyncStatusReplies = []replySpec{
		{60, "250 2.1.5 delivered to the mailbox of {local}", success, ""},
		{40, "451 4.4.1 the next hop for {rcpt} does not answer, still trying", noAnswer, ""},
	}
)

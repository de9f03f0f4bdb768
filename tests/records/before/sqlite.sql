-- Filled by the recorder of revision 90dd896 (tables 0003), as SQLite.
BEGIN TRANSACTION;
CREATE TABLE actuations (
	id INTEGER NOT NULL, 
	verdict_id VARCHAR(128) NOT NULL, 
	board_id VARCHAR(128) NOT NULL, 
	category VARCHAR(128) NOT NULL, 
	pin INTEGER, 
	outcome VARCHAR(16) NOT NULL, 
	fired_at DATETIME, 
	duration_ms INTEGER, 
	latency_ms DOUBLE, 
	received_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_actuations_verdict_id_outcome UNIQUE (verdict_id, outcome)
);
INSERT INTO "actuations" VALUES(1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000','normal',NULL,'no_gate',NULL,NULL,NULL,'2026-10-24 21:59:59.193000');
INSERT INTO "actuations" VALUES(2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','solder',27,'fired','2026-10-24 22:00:00.173000',500,1.5,'2026-10-24 22:00:00.193000');
INSERT INTO "actuations" VALUES(3,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','solder',27,'duplicate',NULL,NULL,NULL,'2026-10-24 22:00:00.213000');
INSERT INTO "actuations" VALUES(4,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','component',27,'fired','2026-10-25 00:30:00.173000',500,1.5,'2026-10-25 00:30:00.193000');
INSERT INTO "actuations" VALUES(5,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','scrap',27,'fired','2026-10-25 01:30:00.173000',500,1.5,'2026-10-25 01:30:00.193000');
INSERT INTO "actuations" VALUES(6,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','unjudged',NULL,'unjudged',NULL,NULL,NULL,'2026-10-25 22:59:59.193000');
INSERT INTO "actuations" VALUES(7,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd "5" \ 기판','normal',NULL,'no_gate',NULL,NULL,NULL,'2026-10-25 23:00:00.193000');
INSERT INTO "actuations" VALUES(8,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','solder',27,'fired','2026-11-21 08:00:00.173000',500,1.5,'2026-11-21 08:00:00.193000');
INSERT INTO "actuations" VALUES(9,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','component',27,'fired','2026-11-21 08:59:59.173000',500,1.5,'2026-11-21 08:59:59.193000');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE alerts (
	id INTEGER NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	subject VARCHAR(128) NOT NULL, 
	level VARCHAR(16) NOT NULL, 
	message TEXT NOT NULL, 
	details JSON NOT NULL, 
	raised_at DATETIME NOT NULL, 
	resolved_at DATETIME, 
	user_id INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_alerts_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);
INSERT INTO "alerts" VALUES(1,'missing_verdict','OVERDUE','error','board OVERDUE has no verdict','{"board_id": "OVERDUE"}','2026-11-30 13:19:29.747000',NULL,NULL);
INSERT INTO "alerts" VALUES(2,'disk','images','error','10 MB are free','{"free_mb": 10}','2026-11-30 13:19:29.747000','2026-11-30 13:19:29.804000',NULL);
CREATE TABLE board_statistics (
	period VARCHAR(8) NOT NULL, 
	begins_at DATETIME NOT NULL, 
	category VARCHAR(16) NOT NULL, 
	boards INTEGER NOT NULL, 
	incomplete INTEGER NOT NULL, 
	latency_ms_sum DOUBLE NOT NULL, 
	latency_ms_max DOUBLE NOT NULL, 
	PRIMARY KEY (period, begins_at, category)
);
INSERT INTO "board_statistics" VALUES('day','2026-10-23 22:00:00.000000','normal',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-10-24 22:00:00.000000','component',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-10-24 22:00:00.000000','scrap',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-10-24 22:00:00.000000','solder',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-10-24 22:00:00.000000','unjudged',1,1,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-10-25 23:00:00.000000','normal',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-11-20 23:00:00.000000','component',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-11-20 23:00:00.000000','solder',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-24 21:00:00.000000','normal',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-24 22:00:00.000000','solder',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-25 00:00:00.000000','component',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-25 01:00:00.000000','scrap',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-25 22:00:00.000000','unjudged',1,1,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-10-25 23:00:00.000000','normal',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-11-21 08:00:00.000000','component',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('hour','2026-11-21 08:00:00.000000','solder',1,0,41.25,41.25);
INSERT INTO "board_statistics" VALUES('day','2026-11-20 23:00:00.000000','unjudged',1,0,0.0,0.0);
INSERT INTO "board_statistics" VALUES('hour','2026-11-21 08:00:00.000000','unjudged',1,0,0.0,0.0);
CREATE TABLE "defect_images" (
	id INTEGER NOT NULL, 
	verdict_id VARCHAR(128) NOT NULL, 
	board_id VARCHAR(128) NOT NULL, 
	camera_id VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	path VARCHAR(255) NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	received_at DATETIME NOT NULL, 
	removed_at DATETIME, 
	kind VARCHAR(16) DEFAULT 'frame' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_defect_images_verdict_id_camera_id_kind UNIQUE (verdict_id, camera_id, kind)
);
INSERT INTO "defect_images" VALUES(1,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','left','68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4','68/68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4.jpg',640,480,21,'2026-10-24 22:00:00.183000','2026-11-30 13:19:29.820000','frame');
INSERT INTO "defect_images" VALUES(2,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','left','68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4','68/68d659fc7d5efb608b860c1f0c36bdd55360bd78fe9b0585566b049a59ed3bc4.jpg',640,480,21,'2026-10-25 00:30:00.183000','2026-11-30 13:19:29.820000','frame');
INSERT INTO "defect_images" VALUES(3,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','left','b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893','b5/b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893.jpg',640,480,18,'2026-10-25 01:30:00.183000',NULL,'frame');
INSERT INTO "defect_images" VALUES(4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','left','d987ab5d58668e751c1f01dfa640a89ddb7485b60c0b832d1f5a574a6975c764','d9/d987ab5d58668e751c1f01dfa640a89ddb7485b60c0b832d1f5a574a6975c764.png',3,2,72,'2026-10-25 01:30:00.183000',NULL,'heat');
INSERT INTO "defect_images" VALUES(5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','left','25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc','25/25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc.jpg',640,480,18,'2026-10-25 22:59:59.183000',NULL,'frame');
INSERT INTO "defect_images" VALUES(6,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','left','25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af','25/25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af.jpg',640,480,18,'2026-11-21 08:00:00.183000',NULL,'frame');
INSERT INTO "defect_images" VALUES(7,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','left','f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820','f0/f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820.jpg',640,480,18,'2026-11-21 08:59:59.183000',NULL,'frame');
CREATE TABLE defect_statistics (
	period VARCHAR(8) NOT NULL, 
	begins_at DATETIME NOT NULL, 
	camera_id VARCHAR(64) NOT NULL, 
	class_name VARCHAR(64) NOT NULL, 
	boxes INTEGER NOT NULL, 
	boards INTEGER NOT NULL, 
	PRIMARY KEY (period, begins_at, camera_id, class_name)
);
INSERT INTO "defect_statistics" VALUES('day','2026-10-24 22:00:00.000000','left','missing_part',3,3);
INSERT INTO "defect_statistics" VALUES('day','2026-10-24 22:00:00.000000','left','short',6,3);
INSERT INTO "defect_statistics" VALUES('day','2026-10-24 22:00:00.000000','right','spur',1,1);
INSERT INTO "defect_statistics" VALUES('day','2026-11-20 23:00:00.000000','left','missing_part',2,2);
INSERT INTO "defect_statistics" VALUES('day','2026-11-20 23:00:00.000000','left','short',4,2);
INSERT INTO "defect_statistics" VALUES('day','2026-11-20 23:00:00.000000','right','spur',1,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-24 22:00:00.000000','left','missing_part',1,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-24 22:00:00.000000','left','short',2,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-25 00:00:00.000000','left','missing_part',1,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-25 00:00:00.000000','left','short',2,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-25 01:00:00.000000','left','missing_part',1,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-25 01:00:00.000000','left','short',2,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-10-25 01:00:00.000000','right','spur',1,1);
INSERT INTO "defect_statistics" VALUES('hour','2026-11-21 08:00:00.000000','left','missing_part',2,2);
INSERT INTO "defect_statistics" VALUES('hour','2026-11-21 08:00:00.000000','left','short',4,2);
INSERT INTO "defect_statistics" VALUES('hour','2026-11-21 08:00:00.000000','right','spur',1,1);
CREATE TABLE inspection_sides (
	id INTEGER NOT NULL, 
	inspection_id INTEGER NOT NULL, 
	camera_id VARCHAR(64) NOT NULL, 
	frame_id VARCHAR(128) NOT NULL, 
	captured_at DATETIME NOT NULL, 
	defect_type VARCHAR(128) NOT NULL, 
	category VARCHAR(16) NOT NULL, 
	confidence DOUBLE NOT NULL, 
	anomaly_score DOUBLE, 
	inference_time_ms DOUBLE NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_inspection_sides_inspection_id_camera_id UNIQUE (inspection_id, camera_id), 
	CONSTRAINT fk_inspection_sides_inspection_id FOREIGN KEY(inspection_id) REFERENCES inspections (id) ON DELETE CASCADE
);
INSERT INTO "inspection_sides" VALUES(1,1,'left','frame-left-1792879199125000000','2026-10-24 21:59:59.125000','정상','normal',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(2,1,'right','frame-right-1792879199126000000','2026-10-24 21:59:59.126000','정상','normal',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(3,5,'left','frame-left-1792969199125000000','2026-10-25 22:59:59.125000','미판정','normal',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(4,4,'left','frame-left-1792891800125000000','2026-10-25 01:30:00.125000','폐기','scrap',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(5,4,'right','frame-right-1792891800126000000','2026-10-25 01:30:00.126000','정상','normal',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(6,7,'left','frame-left-1795248000125000000','2026-11-21 08:00:00.125000','납땜불량','solder',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(7,7,'right','frame-right-1795248000126000000','2026-11-21 08:00:00.126000','정상','normal',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(8,2,'left','frame-left-1792879200125000000','2026-10-24 22:00:00.125000','납땜불량','solder',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(9,2,'right','frame-right-1792879200126000000','2026-10-24 22:00:00.126000','정상','normal',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(10,8,'left','frame-left-1795251599125000000','2026-11-21 08:59:59.125000','부품불량','component',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(11,8,'right','frame-right-1795251599126000000','2026-11-21 08:59:59.126000','정상','solder',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(12,6,'left','frame-left-1792969200125000000','2026-10-25 23:00:00.125000','정상','normal',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(13,6,'right','frame-right-1792969200126000000','2026-10-25 23:00:00.126000','정상','normal',0.9,NULL,14.25);
INSERT INTO "inspection_sides" VALUES(14,3,'left','frame-left-1792888200125000000','2026-10-25 00:30:00.125000','부품불량','component',0.9,0.25,14.25);
INSERT INTO "inspection_sides" VALUES(15,3,'right','frame-right-1792888200126000000','2026-10-25 00:30:00.126000','정상','normal',0.9,NULL,14.25);
CREATE TABLE inspections (
	id INTEGER NOT NULL, 
	verdict_id VARCHAR(128) NOT NULL, 
	board_id VARCHAR(128) NOT NULL, 
	serial VARCHAR(128), 
	camera_id VARCHAR(64) NOT NULL, 
	defect_type VARCHAR(128) NOT NULL, 
	category VARCHAR(16) NOT NULL, 
	confidence DOUBLE NOT NULL, 
	inspection_time DATETIME NOT NULL, 
	image_path VARCHAR(255), 
	boxes JSON NOT NULL, 
	gpio_pin INTEGER, 
	gpio_duration_ms INTEGER, 
	status VARCHAR(16) NOT NULL, 
	judged_at DATETIME, 
	received_at DATETIME NOT NULL, 
	latency_ms DOUBLE, 
	model VARCHAR(128), 
	model_sha256 VARCHAR(64), 
	user_id INTEGER, 
	notes TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_inspections_verdict_id UNIQUE (verdict_id), 
	CONSTRAINT fk_inspections_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);
INSERT INTO "inspections" VALUES(1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000',NULL,'both','정상','normal',0.9,'2026-10-24 21:59:59.123000',NULL,'[]',NULL,NULL,'ok','2026-10-24 21:59:59.164000','2026-10-24 21:59:59.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001',NULL,'left','납땜불량','solder',0.9,'2026-10-24 22:00:00.123000',NULL,'[{"camera_id": "left", "x1": 1.5, "y1": 2.5, "x2": 31.5, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 50.0, "y1": 2.5, "x2": 80.0, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 100.0, "y1": 2.5, "x2": 130.0, "y2": 40.0, "confidence": 0.875, "class": "missing_part"}]',27,500,'ok','2026-10-24 22:00:00.164000','2026-10-24 22:00:00.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',1,'리워크 완료');
INSERT INTO "inspections" VALUES(3,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002',NULL,'left','부품불량','component',0.9,'2026-10-25 00:30:00.123000',NULL,'[{"camera_id": "left", "x1": 1.5, "y1": 2.5, "x2": 31.5, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 50.0, "y1": 2.5, "x2": 80.0, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 100.0, "y1": 2.5, "x2": 130.0, "y2": 40.0, "confidence": 0.875, "class": "missing_part"}]',27,500,'ok','2026-10-25 00:30:00.164000','2026-10-25 00:30:00.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003',NULL,'left','폐기','scrap',0.9,'2026-10-25 01:30:00.123000','b5/b54b3505620cc8653170043d75784a7c55ab6854cc2ca50b94ee41d7f20a2893.jpg','[{"camera_id": "left", "x1": 1.5, "y1": 2.5, "x2": 31.5, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 50.0, "y1": 2.5, "x2": 80.0, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 100.0, "y1": 2.5, "x2": 130.0, "y2": 40.0, "confidence": 0.875, "class": "missing_part"}, {"camera_id": "right", "x1": 7.0, "y1": 2.5, "x2": 37.0, "y2": 40.0, "confidence": 0.875, "class": "spur"}]',27,500,'ok','2026-10-25 01:30:00.164000','2026-10-25 01:30:00.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004',NULL,'both','미판정','unjudged',0.9,'2026-10-25 22:59:59.123000','25/25001c3ccc70fc9d7f6a94c71a33634cf5d2a7a2adaa96fe46ff2a2238b36ccc.jpg','[]',NULL,NULL,'incomplete','2026-10-25 22:59:59.164000','2026-10-25 22:59:59.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(6,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd "5" \ 기판',NULL,'both','정상','normal',0.9,'2026-10-25 23:00:00.123000',NULL,'[]',NULL,NULL,'ok','2026-10-25 23:00:00.164000','2026-10-25 23:00:00.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(7,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006',NULL,'left','납땜불량','solder',0.9,'2026-11-21 08:00:00.123000','25/25af019fb22c3ed1d4b1733a280f741d0e5ce63346a190670ab4bac7f070b4af.jpg','[{"camera_id": "left", "x1": 1.5, "y1": 2.5, "x2": 31.5, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 50.0, "y1": 2.5, "x2": 80.0, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 100.0, "y1": 2.5, "x2": 130.0, "y2": 40.0, "confidence": 0.875, "class": "missing_part"}]',27,500,'ok','2026-11-21 08:00:00.164000','2026-11-21 08:00:00.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(8,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007',NULL,'left','부품불량','component',0.9,'2026-11-21 08:59:59.123000','f0/f08d705efaa16884af8f687e4f64c32c41284f958127b3dd55d386f6c313c820.jpg','[{"camera_id": "left", "x1": 1.5, "y1": 2.5, "x2": 31.5, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 50.0, "y1": 2.5, "x2": 80.0, "y2": 40.0, "confidence": 0.875, "class": "short"}, {"camera_id": "left", "x1": 100.0, "y1": 2.5, "x2": 130.0, "y2": 40.0, "confidence": 0.875, "class": "missing_part"}, {"camera_id": "right", "x1": 7.0, "y1": 2.5, "x2": 37.0, "y2": 40.0, "confidence": 0.875, "class": "spur"}]',27,500,'ok','2026-11-21 08:59:59.164000','2026-11-21 08:59:59.168000',41.25,'starter','0000000000000000000000000000000000000000000000000000000000000000',NULL,NULL);
INSERT INTO "inspections" VALUES(9,'30e1b4d1-66b7-51f3-91b9-9a560e700f67','OVERDUE',NULL,'both','미판정','unjudged',0.0,'2026-11-21 08:10:00.123000',NULL,'[]',NULL,NULL,'missing',NULL,'2026-11-21 08:30:00.123000',NULL,NULL,NULL,NULL,'no verdict came within the deadline');
CREATE TABLE rejected_messages (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	topic VARCHAR(255) NOT NULL, 
	verdict_id VARCHAR(128), 
	reason VARCHAR(64) NOT NULL, 
	detail TEXT NOT NULL, 
	payload BLOB NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	received_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_rejected_messages_digest UNIQUE (digest)
);
INSERT INTO "rejected_messages" VALUES(1,'13b9b0422bc9103579f7d2dc3d4328ea1af20fab36f61137aaf34968394ef46b','verdict','pcb/verdict','broken','schema','board_id: Input should be a valid string (and 10 more)',X'7B2276223A20312C2022766572646963745F6964223A202262726F6B656E222C2022626F6172645F6964223A20377D',47,'2026-11-21 09:00:00.123000');
INSERT INTO "rejected_messages" VALUES(2,'322c252da612ae92c7987fd0a98e37960358efe3e2f912af59cc16461f070bd4','evidence','pcb/evidence/left',NULL,'not_msgpack','unpack(b) received extra data.',X'00FF275C',4,'2026-11-21 09:00:00.123000');
CREATE TABLE system_config (
	"key" VARCHAR(64) NOT NULL, 
	value JSON NOT NULL, 
	updated_at DATETIME NOT NULL, 
	user_id INTEGER, 
	PRIMARY KEY ("key"), 
	CONSTRAINT fk_system_config_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);
INSERT INTO "system_config" VALUES('retention_days',30,'2026-11-30 13:19:30.187000',NULL);
INSERT INTO "system_config" VALUES('alert_defect_rate',0.25,'2026-11-30 13:19:30.296000',NULL);
CREATE TABLE system_logs (
	id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	level VARCHAR(16) NOT NULL, 
	source VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	details JSON NOT NULL, 
	logged_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_system_logs_digest UNIQUE (digest)
);
INSERT INTO "system_logs" VALUES(1,'53fbb797479d6b8a51c0429e54781de9366fb0e00d0279cfce32310bb079b688','warning','edge-left','카메라가 멈췄다: ''x'' \ "y"','{"camera": 0, "말": ["a", 1.5, null]}','2026-11-21 09:00:00.123000');
CREATE TABLE triggers (
	id INTEGER NOT NULL, 
	verdict_id VARCHAR(128) NOT NULL, 
	board_id VARCHAR(128) NOT NULL, 
	source VARCHAR(128) NOT NULL, 
	triggered_at DATETIME NOT NULL, 
	received_at DATETIME NOT NULL, 
	open BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_triggers_verdict_id UNIQUE (verdict_id)
);
INSERT INTO "triggers" VALUES(1,'032b8b3e-75f2-5dce-b642-86f4695c44cc','BOARD-000','plc','2026-10-24 21:59:59.123000','2026-10-24 21:59:59.124000',0);
INSERT INTO "triggers" VALUES(2,'4f7b4be1-c070-5c43-9436-1432ee61e942','BOARD-001','plc','2026-10-24 22:00:00.123000','2026-10-24 22:00:00.124000',0);
INSERT INTO "triggers" VALUES(3,'de95204a-05f6-5190-a956-02523a5cefad','BOARD-002','plc','2026-10-25 00:30:00.123000','2026-10-25 00:30:00.124000',0);
INSERT INTO "triggers" VALUES(4,'3b9a7dee-f7bb-58d7-8510-862b6f6b0d7d','BOARD-003','plc','2026-10-25 01:30:00.123000','2026-10-25 01:30:00.124000',0);
INSERT INTO "triggers" VALUES(5,'072219c4-eb3f-5e39-bd36-1ca8e58c8aa4','BOARD-004','plc','2026-10-25 22:59:59.123000','2026-10-25 22:59:59.124000',0);
INSERT INTO "triggers" VALUES(6,'cb685a56-0706-5c33-a6ae-c3e3e66df499','Bärd "5" \ 기판','plc','2026-10-25 23:00:00.123000','2026-10-25 23:00:00.124000',0);
INSERT INTO "triggers" VALUES(7,'402b92b7-6250-5998-8fc5-972cdefb2099','BOARD-006','plc','2026-11-21 08:00:00.123000','2026-11-21 08:00:00.124000',0);
INSERT INTO "triggers" VALUES(8,'9f84e14e-8616-5189-8093-670e59db8e89','BOARD-007','plc','2026-11-21 08:59:59.123000','2026-11-21 08:59:59.124000',0);
INSERT INTO "triggers" VALUES(9,'30e1b4d1-66b7-51f3-91b9-9a560e700f67','OVERDUE','edge-left','2026-11-21 08:10:00.123000','2026-11-21 08:10:00.123000',0);
INSERT INTO "triggers" VALUES(10,'a1337d81-36c2-56f9-aa71-3e943d5cb67f','OPEN','edge-left','2026-11-21 09:00:00.123000','2026-11-21 09:00:00.123000',1);
CREATE TABLE users (
	id INTEGER NOT NULL, 
	username VARCHAR(64) NOT NULL, 
	password_hash VARCHAR(255) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	active BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_login_at DATETIME, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_users_username UNIQUE (username)
);
INSERT INTO "users" VALUES(1,'kim','$2b$12$abc','operator',1,'2026-11-01 00:00:00.000000',NULL);
CREATE INDEX ix_inspections_inspection_time ON inspections (inspection_time);
CREATE INDEX ix_inspections_inspection_time_defect_type ON inspections (inspection_time, defect_type);
CREATE INDEX ix_inspections_board_id ON inspections (board_id);
CREATE INDEX ix_inspections_serial ON inspections (serial);
CREATE INDEX ix_actuations_received_at ON actuations (received_at);
CREATE INDEX ix_system_logs_logged_at ON system_logs (logged_at);
CREATE INDEX ix_alerts_kind_subject ON alerts (kind, subject);
CREATE INDEX ix_alerts_raised_at ON alerts (raised_at);
CREATE INDEX ix_alerts_resolved_at ON alerts (resolved_at);
CREATE INDEX ix_triggers_open_received_at ON triggers (open, received_at);
CREATE INDEX ix_triggers_triggered_at ON triggers (triggered_at);
CREATE INDEX ix_rejected_messages_received_at ON rejected_messages (received_at);
CREATE INDEX ix_inspections_defect_type_inspection_time ON inspections (defect_type, inspection_time);
CREATE INDEX ix_defect_images_sha256 ON defect_images (sha256);
CREATE INDEX ix_defect_images_removed_at_received_at ON defect_images (removed_at, received_at);
COMMIT;
